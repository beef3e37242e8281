//! The handlers, which a component exports or leaves out: looked up once, and outcomes in the words of the contract.

use super::exports::patchbay::bot::{
    chat_handler as chat, control_handler as control, http_handler as http, speech_handler as speech,
    store_handler as store, voice_handler as voice, websocket_handler as websocket,
};
use super::patchbay::bot::{chat as asked, types};
use crate::HostError;
use crate::contract::{
    ChatEvent, ControlEvent, Header, HttpEvent, Outcome, Pair, SpeechEvent, StoreEvent, VoiceEvent, WebSocketEvent,
};
use crate::host_state::HostState;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

/// Which pairs a component has the handler of: a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handled(u8);

impl Handled {
    pub(crate) fn has(self, pair: Pair) -> bool {
        self.0 & (1 << pair as u8) != 0
    }
}

/// One line per handler: its field, its module, its pair.
macro_rules! handlers {
    ($($field:ident = $module:ident, $pair:ident;)*) => {
        /// Where they are in a component.
        pub(crate) struct HandlerIndices {
            $($field: Option<$module::GuestIndices>,)*
        }

        impl HandlerIndices {
            /// Errors: a handler is there, but lacks its function.
            pub(crate) fn new(component: &InstancePre<HostState>) -> wasmtime::Result<Self> {
                let exports = |pair| {
                    component.component().get_export_index(None, &super::handler_of(pair)).is_some()
                };
                Ok(Self {
                    $($field: exports(Pair::$pair).then(|| $module::GuestIndices::new(component)).transpose()?,)*
                })
            }

            pub(crate) fn handled(&self) -> Handled {
                Handled(0 $(| u8::from(self.$field.is_some()) << Pair::$pair as u8)*)
            }

            /// None if there is none at all.
            pub(crate) fn load(
                &self,
                store: &mut Store<HostState>,
                instance: &Instance,
            ) -> wasmtime::Result<Option<Box<Handlers>>> {
                if self.handled() == Handled::default() {
                    return Ok(None);
                }
                Ok(Some(Box::new(Handlers {
                    $($field: self.$field.as_ref().map(|found| found.load(&mut *store, instance)).transpose()?,)*
                })))
            }
        }

        /// Those of one instance.
        pub(crate) struct Handlers {
            $($field: Option<$module::Guest>,)*
        }
    };
}

handlers! {
    http = http, Http;
    websocket = websocket, WebSocket;
    store = store, Store;
    voice = voice, Voice;
    speech = speech, Speech;
    chat = chat, Chat;
    control = control, Control;
}

impl Handlers {
    /// To the handler of its pair. Without one it is nothing: no operation of that pair could be begun.
    pub(crate) fn on_outcome(&self, to: &mut Store<HostState>, id: u64, outcome: Outcome) -> wasmtime::Result<()> {
        match (outcome, self) {
            (Outcome::Http(event), Self { http: Some(handler), .. }) => handler.call_on_http(to, id, &of_http(event)),
            (Outcome::WebSocket(event), Self { websocket: Some(handler), .. }) => {
                handler.call_on_websocket(to, id, &of_websocket(event))
            }
            (Outcome::Store(event), Self { store: Some(handler), .. }) => {
                handler.call_on_store(to, id, &of_store(event))
            }
            (Outcome::Speech(event), Self { speech: Some(handler), .. }) => {
                handler.call_on_speech(to, id, &of_speech(event))
            }
            (Outcome::Chat(event), Self { chat: Some(handler), .. }) => handler.call_on_chat(to, id, &of_chat(event)),
            (Outcome::Control(event), Self { control: Some(handler), .. }) => {
                handler.call_on_control(to, id, &of_control(event))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn on_voice(&self, to: &mut Store<HostState>, event: VoiceEvent) -> wasmtime::Result<()> {
        match &self.voice {
            Some(handler) => handler.call_on_voice(to, &of_voice(event)),
            None => Ok(()),
        }
    }
}

fn error(HostError { code, message }: HostError) -> types::Error {
    types::Error { code: code.to_owned(), message }
}

fn of_http(event: HttpEvent) -> http::HttpEvent {
    let header = |Header { name, value }| http::Header { name, value };
    match event {
        HttpEvent::Head { status, headers } => {
            http::HttpEvent::Head(http::Head { status, headers: headers.into_iter().map(header).collect() })
        }
        HttpEvent::Body(body) => http::HttpEvent::Body(body),
        HttpEvent::Message { event, data, id } => http::HttpEvent::Message(http::Message { event, data, id }),
        HttpEvent::Done => http::HttpEvent::Done,
        HttpEvent::Failed(why) => http::HttpEvent::Failed(error(why)),
    }
}

fn of_websocket(event: WebSocketEvent) -> websocket::WebsocketEvent {
    match event {
        WebSocketEvent::Opened(subprotocol) => websocket::WebsocketEvent::Opened(subprotocol),
        WebSocketEvent::Text(text) => websocket::WebsocketEvent::Text(text),
        WebSocketEvent::Binary(bytes) => websocket::WebsocketEvent::Binary(bytes),
        WebSocketEvent::Closed { code, reason } => {
            websocket::WebsocketEvent::Closed(websocket::Goodbye { code, reason })
        }
        WebSocketEvent::Failed(why) => websocket::WebsocketEvent::Failed(error(why)),
    }
}

fn of_store(event: StoreEvent) -> store::StoreEvent {
    match event {
        StoreEvent::Value(value) => store::StoreEvent::Value(value),
        StoreEvent::Stored => store::StoreEvent::Stored,
        StoreEvent::Swapped(swapped) => store::StoreEvent::Swapped(swapped),
        StoreEvent::Keys(keys) => store::StoreEvent::Keys(keys),
        StoreEvent::Failed(why) => store::StoreEvent::Failed(error(why)),
    }
}

fn of_voice(event: VoiceEvent) -> voice::VoiceEvent {
    match event {
        VoiceEvent::SpeechStarted { sample } => voice::VoiceEvent::SpeechStarted(sample),
        VoiceEvent::SpeechStopped { sample } => voice::VoiceEvent::SpeechStopped(sample),
        VoiceEvent::Paused => voice::VoiceEvent::Paused,
        VoiceEvent::Resumed => voice::VoiceEvent::Resumed,
        VoiceEvent::BargedIn { played_ms, dropped_marks } => {
            voice::VoiceEvent::BargedIn(voice::BargedIn { played_ms, dropped_marks })
        }
    }
}

fn of_speech(event: SpeechEvent) -> speech::SpeechEvent {
    match event {
        SpeechEvent::UtteranceStarted { sample } => speech::SpeechEvent::UtteranceStarted(sample),
        SpeechEvent::UtteranceStopped { sample } => speech::SpeechEvent::UtteranceStopped(sample),
        SpeechEvent::Transcript { text, is_final, from_sample, to_sample, engine_ms } => {
            let transcript = speech::Transcript { text, final_: is_final, from_sample, to_sample, engine_ms };
            speech::SpeechEvent::Transcript(transcript)
        }
        SpeechEvent::Speaking { after_ms } => speech::SpeechEvent::Speaking(after_ms),
        SpeechEvent::UtterancePlayed { to_the_end } => {
            speech::SpeechEvent::UtterancePlayed(speech::Played { to_the_end })
        }
        SpeechEvent::Failed(why) => speech::SpeechEvent::Failed(error(why)),
    }
}

fn of_chat(event: ChatEvent) -> chat::ChatEvent {
    match event {
        ChatEvent::Text(text) => chat::ChatEvent::Text(text),
        ChatEvent::ToolCall(call) => {
            let call = asked::ToolCall { id: call.id, name: call.name, arguments: call.arguments };
            chat::ChatEvent::ToolCall(call)
        }
        ChatEvent::Done(reason) => chat::ChatEvent::Done(reason),
        ChatEvent::Failed(why) => chat::ChatEvent::Failed(error(why)),
    }
}

fn of_control(event: ControlEvent) -> control::ControlEvent {
    match event {
        ControlEvent::Progress { status, reason } => {
            control::ControlEvent::Progress(control::Progress { status, reason })
        }
        ControlEvent::Done => control::ControlEvent::Done,
        ControlEvent::Failed { status, reason } => control::ControlEvent::Failed(control::Progress { status, reason }),
    }
}
