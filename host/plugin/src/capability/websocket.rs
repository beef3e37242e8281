//! WebSockets to services outside. A message is as long as `Limits::payload_bytes` lets it be; what waits to be sent the port bounds.

use super::http::{check_url, from_wit};
use super::{cut, fields, refused};
use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::{http, types, websocket};
use crate::{Pair, Request, WebSocketRequest};
use wasmtime::component::{HasSelf, Linker};

const SUBPROTOCOLS_MAX: usize = 16;
const SUBPROTOCOL_BYTES_MAX: usize = 128;
/// What fits into a close frame beside the code. Source: RFC 6455 5.5.
const REASON_BYTES_MAX: usize = 123;
const NORMAL: u16 = 1000;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    websocket::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

impl HostState {
    fn proceed(&mut self, id: u64, request: WebSocketRequest) -> Result<(), types::Error> {
        self.refuse_without_handler(Pair::WebSocket)?;
        self.port.proceed(id, request).map_err(super::error)
    }
}

impl websocket::Host for HostState {
    fn open(
        &mut self,
        url: String,
        headers: Vec<http::Header>,
        subprotocols: Vec<String>,
    ) -> Result<u64, types::Error> {
        check_url(&url, &["wss://", "ws://"])?;
        let headers = from_wit(headers);
        fields::check_http(&headers)?;
        let is_one = |name: &String| name.len() <= SUBPROTOCOL_BYTES_MAX && fields::is_token(name);
        if subprotocols.len() > SUBPROTOCOLS_MAX || !subprotocols.iter().all(is_one) {
            let message =
                format!("subprotocols are at most {SUBPROTOCOLS_MAX} tokens of {SUBPROTOCOL_BYTES_MAX} bytes");
            return Err(refused("bad-request", message));
        }
        self.begin(Request::WebSocket(WebSocketRequest::Open { url, headers, subprotocols }))
    }

    fn send_text(&mut self, id: u64, text: String) -> Result<(), types::Error> {
        self.proceed(id, WebSocketRequest::Text(text))
    }

    fn send_binary(&mut self, id: u64, bytes: Vec<u8>) -> Result<(), types::Error> {
        self.proceed(id, WebSocketRequest::Binary(bytes))
    }

    /// Codes that no endpoint may send become 1000. Source: RFC 6455 7.4.
    fn close(&mut self, id: u64, code: u16, reason: String) {
        let may_be_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let code = if may_be_sent { code } else { NORMAL };
        let reason = cut(&reason, REASON_BYTES_MAX).to_owned();
        // One that is over is not told.
        let _ = self.proceed(id, WebSocketRequest::Close { code, reason });
    }
}
