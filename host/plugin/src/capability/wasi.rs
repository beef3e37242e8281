//! WASI 0.2, linked but empty: language runtimes import it whether they use it or not.
//!
//! Time and randomness come from the port, stdout and stderr go to the bot's log, stdin is at its end; there is no
//! environment, no directory and no socket. The types are wasmtime-wasi's, and so is everything that can only refuse;
//! its `io`, clocks and random are replaced here, because its synchronous shims start a tokio runtime and block the thread in it.
//!
//! Nothing here waits, and this is how: the only pollables that exist are those of stdin, stdout, stderr and of moments that have come,
//! which are all ready. To ask for another (`subscribe-duration` of a time to come) is a trap.

use super::log::LINE_BYTES_MAX;
use super::random::number;
use crate::host_state::HostState;
use crate::{CallPort, Fault, Limits, LogLevel};
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::WasiCli;
use wasmtime_wasi::filesystem::WasiFilesystem;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sync::io::{poll, streams};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sockets, sync};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, OutputStream, Pollable, StreamError, StreamResult, UdpSocket,
    subscribe,
};
use wasmtime_wasi::sockets::WasiSockets;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, async_trait};

/// The interfaces of WASI that a component may import, whatever their 0.2 version. `wasi:http` and others are not among them.
pub(crate) const PACKAGES: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// Bytes that one read of randomness may ask for.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

const STDOUT: (LogLevel, &str) = (LogLevel::Info, "stdout");
const STDERR: (LogLevel, &str) = (LogLevel::Warn, "stderr");

pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    link_io(linker)?;
    link_time_and_randomness(linker)?;
    link_refusals(linker)
}

fn link_io(l: &mut Linker<HostState>) -> wasmtime::Result<()> {
    poll::add_to_linker::<_, Ours>(l, ours)?;
    streams::add_to_linker::<_, Ours>(l, ours)?;
    cli::stdout::add_to_linker::<_, Ours>(l, ours)?;
    cli::stderr::add_to_linker::<_, Ours>(l, ours)?;
    wasmtime_wasi::p2::bindings::io::error::add_to_linker::<_, Table>(l, |state| &mut state.wasi.table)
}

fn link_time_and_randomness(l: &mut Linker<HostState>) -> wasmtime::Result<()> {
    clocks::wall_clock::add_to_linker::<_, Ours>(l, ours)?;
    clocks::monotonic_clock::add_to_linker::<_, Ours>(l, ours)?;
    random::random::add_to_linker::<_, Ours>(l, ours)?;
    random::insecure::add_to_linker::<_, Ours>(l, ours)?;
    random::insecure_seed::add_to_linker::<_, Ours>(l, ours)
}

/// What has nothing behind it: wasmtime-wasi's own answers for a context with nothing in it, and our refusal to make a socket.
fn link_refusals(l: &mut Linker<HostState>) -> wasmtime::Result<()> {
    use wasmtime_wasi::cli::WasiCliView as _;
    use wasmtime_wasi::filesystem::WasiFilesystemView as _;
    use wasmtime_wasi::sockets::WasiSocketsView as _;
    cli::environment::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(l, HostState::filesystem)?;
    sync::filesystem::types::add_to_linker::<_, WasiFilesystem>(l, HostState::filesystem)?;
    sockets::instance_network::add_to_linker::<_, WasiSockets>(l, HostState::sockets)?;
    sockets::network::add_to_linker::<_, WasiSockets>(l, &Default::default(), HostState::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<_, WasiSockets>(l, HostState::sockets)?;
    sync::sockets::tcp::add_to_linker::<_, WasiSockets>(l, HostState::sockets)?;
    sync::sockets::udp::add_to_linker::<_, WasiSockets>(l, HostState::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<_, WasiSockets>(l, HostState::sockets)?;
    // wasmtime-wasi would refuse this one too, but start a tokio runtime to do so.
    l.instance("wasi:sockets/udp-create-socket@0.2.12")?
        .func_wrap("create-udp-socket", |_, (_,): (IpAddressFamily,)| {
            Ok((Err::<Resource<UdpSocket>, _>(ErrorCode::AccessDenied),))
        })
}

/// WASI's part of one instance.
pub(crate) struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
    written: Written,
}

impl Wasi {
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Self { ctx: WasiCtx::default(), table, written: Written::default() }
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi.ctx, table: &mut self.wasi.table }
    }
}

/// The host functions that are ours see the port and the table.
struct Ours;

struct View<'a> {
    port: &'a mut dyn CallPort,
    table: &'a mut ResourceTable,
    written: &'a Written,
}

impl HasData for Ours {
    type Data<'a> = View<'a>;
}

struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

fn ours(state: &mut HostState) -> View<'_> {
    View { port: &mut *state.port, table: &mut state.wasi.table, written: &state.wasi.written }
}

fn would_wait(function: &str) -> wasmtime::Error {
    Fault::Waited(function.to_owned()).into()
}

/// What the guest wrote to stdout and stderr and has not been logged: whole lines, and the beginnings of two.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<Line>>>);

struct Line {
    from: (LogLevel, &'static str),
    text: Vec<u8>,
    whole: bool,
}

impl Written {
    fn add(&self, from: (LogLevel, &'static str), bytes: &[u8]) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let begun = lines.iter_mut().find(|line| line.from == from && !line.whole);
            let line = match begun {
                Some(line) => line,
                None => {
                    lines.push(Line { from, text: Vec::new(), whole: false });
                    lines.last_mut().expect("pushed above")
                }
            };
            line.whole = piece.ends_with(b"\n");
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            // A line that never ends is cut, not kept.
            let room = LINE_BYTES_MAX - line.text.len();
            line.text.extend_from_slice(&text[..text.len().min(room)]);
        }
    }

    fn log_whole_lines(&self, port: &mut dyn CallPort) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines.extract_if(.., |line| line.whole) {
            let (level, stream) = line.from;
            port.log(level, stream, 0, &String::from_utf8_lossy(&line.text));
        }
    }
}

/// stdout or stderr: takes everything at once.
struct LogStream {
    from: (LogLevel, &'static str),
    written: Written,
}

#[async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.written.add(self.from, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LINE_BYTES_MAX)
    }
}

impl View<'_> {
    fn log_stream(&mut self, from: (LogLevel, &'static str)) -> wasmtime::Result<Resource<DynOutputStream>> {
        let stream: DynOutputStream = Box::new(LogStream { from, written: self.written.clone() });
        Ok(self.table.push(stream)?)
    }

    fn write_all(&mut self, stream: &Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.table.get_mut(stream)?.write(bytes.into())?;
        self.written.log_whole_lines(self.port);
        Ok(())
    }

    fn zeroes(&self, len: u64) -> StreamResult<Vec<u8>> {
        match usize::try_from(len) {
            Ok(len) if len <= LINE_BYTES_MAX => Ok(vec![0; len]),
            _ => Err(StreamError::trap("more zeroes than check-write allowed")),
        }
    }

    /// A pollable for a moment that has come.
    fn past(&mut self) -> wasmtime::Result<Resource<DynPollable>> {
        let moment = self.table.push(Past)?;
        subscribe(self.table, moment)
    }

    fn now_ns(&self) -> u64 {
        self.port.now_ms().saturating_mul(1_000_000)
    }

    fn random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        wasmtime::ensure!(len <= RANDOM_BYTES_MAX, "asked for {len} random bytes, more than {RANDOM_BYTES_MAX}");
        let mut bytes = vec![0; len as usize];
        self.port.random(&mut bytes);
        Ok(bytes)
    }
}

struct Past;

#[async_trait]
impl Pollable for Past {
    async fn ready(&mut self) {}
}

impl cli::stdout::Host for View<'_> {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.log_stream(STDOUT)
    }
}

impl cli::stderr::Host for View<'_> {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.log_stream(STDERR)
    }
}

impl poll::Host for View<'_> {
    /// Every pollable that exists is ready.
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        if pollables.is_empty() {
            return Err(would_wait("wasi:io/poll.poll"));
        }
        for pollable in &pollables {
            self.table.get(pollable)?;
        }
        Ok((0..pollables.len() as u32).collect())
    }
}

impl poll::HostPollable for View<'_> {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.table.get(&pollable)?;
        Ok(true)
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.table.get(&pollable)?;
        Ok(())
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::drop(self.table, pollable)
    }
}

impl streams::Host for View<'_> {
    fn convert_stream_error(&mut self, error: StreamError) -> wasmtime::Result<streams::StreamError> {
        match error {
            StreamError::Closed => Ok(streams::StreamError::Closed),
            StreamError::LastOperationFailed(error) => {
                Ok(streams::StreamError::LastOperationFailed(self.table.push(error)?))
            }
            StreamError::Trap(error) => Err(error),
        }
    }
}

impl streams::HostOutputStream for View<'_> {
    fn check_write(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<u64> {
        Ok(self.table.get_mut(&stream)?.check_write()? as u64)
    }

    fn write(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.write_all(&stream, bytes)
    }

    fn blocking_write_and_flush(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.write_all(&stream, bytes)
    }

    fn flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.table.get_mut(&stream)?.flush()
    }

    fn blocking_flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.table.get_mut(&stream)?.flush()
    }

    fn subscribe(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, stream)
    }

    fn write_zeroes(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        let zeroes = self.zeroes(len)?;
        self.write_all(&stream, zeroes)
    }

    fn blocking_write_zeroes_and_flush(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        self.write_zeroes(stream, len)
    }

    fn splice(
        &mut self,
        stream: Resource<DynOutputStream>,
        source: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        let bytes = streams::HostInputStream::read(self, source, len)?;
        let count = bytes.len() as u64;
        self.write_all(&stream, bytes)?;
        Ok(count)
    }

    fn blocking_splice(
        &mut self,
        stream: Resource<DynOutputStream>,
        source: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        self.splice(stream, source, len)
    }

    fn drop(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}

impl streams::HostInputStream for View<'_> {
    /// Of stdin, which is at its end: `closed`, at once.
    fn read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        Ok(self.table.get_mut(&stream)?.read(LINE_BYTES_MAX.min(len as usize))?.into())
    }

    fn blocking_read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        self.read(stream, len)
    }

    fn skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        Ok(self.table.get_mut(&stream)?.skip(LINE_BYTES_MAX.min(len as usize))? as u64)
    }

    fn blocking_skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        self.skip(stream, len)
    }

    fn subscribe(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, stream)
    }

    fn drop(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}

impl clocks::monotonic_clock::Host for View<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.now_ns())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1_000_000)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        if when > self.now_ns() {
            return Err(would_wait("wasi:clocks/monotonic-clock.subscribe-instant"));
        }
        self.past()
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        if duration > 0 {
            return Err(would_wait("wasi:clocks/monotonic-clock.subscribe-duration"));
        }
        self.past()
    }
}

impl clocks::wall_clock::Host for View<'_> {
    fn now(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        let ms = self.port.wall_ms();
        Ok(clocks::wall_clock::Datetime { seconds: ms / 1000, nanoseconds: (ms % 1000) as u32 * 1_000_000 })
    }

    fn resolution(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        Ok(clocks::wall_clock::Datetime { seconds: 0, nanoseconds: 1_000_000 })
    }
}

impl random::random::Host for View<'_> {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(number(self.port))
    }
}

impl random::insecure::Host for View<'_> {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(number(self.port))
    }
}

impl random::insecure_seed::Host for View<'_> {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((number(self.port), number(self.port)))
    }
}
