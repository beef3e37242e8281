//! The call's signalling: headers of our own messages, a hangup with its cause, hand-over and hold.

use super::{bounded, error, fields, refused};
use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::{control, types};
use crate::{ControlRequest, Header, Request};
use wasmtime::component::{HasSelf, Linker};

const REASON_BYTES_MAX: usize = 128;
const TARGET_BYTES_MAX: usize = 512;
const SCHEMES: [&str; 3] = ["sip:", "sips:", "tel:"];

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    control::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

fn checked(headers: Vec<control::Header>) -> Result<Vec<Header>, types::Error> {
    let headers: Vec<Header> =
        headers.into_iter().map(|control::Header { name, value }| Header { name, value }).collect();
    fields::check_sip(&headers)?;
    Ok(headers)
}

/// That it stays within the angle brackets of a Refer-To (RFC 3261 25.1), and says whom to call and nothing else: `?Replaces=..` would
/// put headers of the bot's choice into the INVITE that it asks for, `;method=` make it another request.
fn check_target(target: &str) -> Result<(), types::Error> {
    bounded("target", target, TARGET_BYTES_MAX)?;
    let scheme = SCHEMES.iter().find(|scheme| fields::starts_with(target, scheme));
    let says_something = scheme.is_some_and(|scheme| target.len() > scheme.len());
    if !says_something || !target.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&byte)) {
        return Err(refused("bad-uri", "a target is a sip:, sips: or tel: URI"));
    }
    // A `?` or `;method` of the user part is neither, but no number or name needs one there.
    let name = |param: &str| param.split('=').next().is_some_and(|name| name.eq_ignore_ascii_case("method"));
    let names_method = target.split(';').skip(1).any(name);
    if target.contains('?') || names_method {
        return Err(refused("bad-uri", "a target names neither headers nor a method"));
    }
    Ok(())
}

impl control::Host for HostState {
    fn answer_headers(&mut self, headers: Vec<control::Header>) -> Result<(), types::Error> {
        self.port.answer_headers(checked(headers)?).map_err(error)
    }

    fn bye_headers(&mut self, headers: Vec<control::Header>) -> Result<(), types::Error> {
        self.port.bye_headers(checked(headers)?).map_err(error)
    }

    fn hangup_with(&mut self, status: u16, reason: String, after_playout: bool) -> Result<(), types::Error> {
        if !(400..=699).contains(&status) {
            return Err(refused("out-of-range", "status: 400 to 699"));
        }
        bounded("reason", &reason, REASON_BYTES_MAX)?;
        let reason: String = reason.chars().filter(|c| !c.is_control()).collect();
        self.port.hangup_with(status, &reason, after_playout).map_err(error)
    }

    fn transfer(&mut self, target: String, headers: Vec<control::Header>) -> Result<u64, types::Error> {
        check_target(&target)?;
        self.begin(Request::Control(ControlRequest::Transfer { target, headers: checked(headers)? }))
    }

    fn hold(&mut self) -> Result<u64, types::Error> {
        self.begin(Request::Control(ControlRequest::Hold))
    }

    fn resume(&mut self) -> Result<u64, types::Error> {
        self.begin(Request::Control(ControlRequest::Resume))
    }
}
