//! The shortest conversation that uses everything, on the bare contract: greets, listens, asks a model that has one tool, speaks its
//! answer sentence by sentence, and says goodbye. What an engine does not do it is sorry for, in words or, without a voice, by a tone.
//! The route's `model` is the model's name.

use std::cell::RefCell;

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package patchbay:talker;
            world talker {
                import patchbay:bot/call@0.1.0;
                import patchbay:bot/playout@0.1.0;
                import patchbay:bot/config@0.1.0;
                import patchbay:bot/speech@0.1.0;
                import patchbay:bot/chat@0.1.0;
                export patchbay:bot/bot@0.1.0;
                export patchbay:bot/speech-handler@0.1.0;
                export patchbay:bot/chat-handler@0.1.0;
            }",
        path: "../../../wit/0.1.0",
        world: "patchbay:talker/talker",
        generate_all,
    });
}

use bindings::exports::patchbay::bot::{bot, chat_handler, speech_handler};
use bindings::patchbay::bot::types::{Accept, Answer, CallInfo, Error, Event, Frame, Frames, Refusal, StartReason};
use bindings::patchbay::bot::{call, chat, config, playout, speech};
use chat_handler::ChatEvent;
use speech_handler::SpeechEvent;

const GREETING: &str = "Hello. How can I help you?";
const GOODBYE: &str = "Goodbye, and thank you for calling.";
const APOLOGY: &str = "I am sorry, I can not help you now.";
const NOT_UNDERSTOOD: &str = "I am sorry, I did not understand that.";
const WEATHER: &str = "It is sunny and warm in the whole country.";

struct Talker;

#[derive(Default)]
struct Talk {
    listening: Option<u64>,
    /// With which the call ends.
    last_words: Option<u64>,
    history: Vec<chat::Message>,
    /// Of the answer that comes: what was not spoken, all of it, and the tools that it asks for.
    unspoken: String,
    answer: String,
    tools: Vec<chat::ToolCall>,
}

thread_local!(static TALK: RefCell<Talk> = RefCell::default());

impl Talk {
    fn begin(&mut self) {
        let options = speech::ListenOptions {
            language: String::new(),
            hint: String::new(),
            end_of_turn_ms: 0,
            utterance_ms_max: 0,
        };
        match speech::listen(&options) {
            Ok(id) => self.listening = Some(id),
            Err(error) => return self.cannot_speak(&error),
        }
        self.say(GREETING);
    }

    fn say(&mut self, text: &str) -> Option<u64> {
        let options = speech::SayOptions { voice: String::new(), language: String::new() };
        match speech::say(text, &options) {
            Ok(id) => Some(id),
            Err(error) => {
                self.cannot_speak(&error);
                None
            }
        }
    }

    /// Says it, and hangs up when it was heard.
    fn end(&mut self, text: &str) {
        if self.last_words.is_none() {
            self.last_words = self.say(text);
        }
    }

    /// Half a second of a tone is the apology of a bot without a voice.
    fn cannot_speak(&mut self, error: &Error) {
        note("voice", &error.code);
        let tone: Vec<i16> = (0..4000).map(|at| if at % 16 < 8 { 8000 } else { -8000 }).collect();
        playout::write(&tone);
        call::hangup(true);
    }

    fn understood(&mut self, text: &str) {
        let letters: String = text.chars().filter(|c| c.is_alphabetic()).collect();
        if letters.is_empty() {
            return;
        }
        note("heard", text);
        if letters.to_lowercase().contains("bye") {
            return self.end(GOODBYE);
        }
        self.history.push(message(chat::Role::User, text));
        self.ask();
    }

    fn ask(&mut self) {
        let tool = chat::Tool {
            name: "weather".to_owned(),
            description: "Today's weather".to_owned(),
            parameters: r#"{"type":"object","properties":{"city":{"type":"string"}}}"#.to_owned(),
        };
        let request = chat::Request {
            model: config::get("model").unwrap_or_default(),
            messages: self.history.clone(),
            tools: vec![tool],
            tokens_max: 0,
            temperature: None,
        };
        if let Err(error) = chat::ask(&request) {
            note("model", &error.code);
            self.end(APOLOGY);
        }
    }

    fn text(&mut self, text: &str) {
        self.answer.push_str(text);
        self.unspoken.push_str(text);
        while let Some(end) = self.unspoken.find(". ") {
            let sentence: String = self.unspoken.drain(..end + 2).collect();
            self.say(sentence.trim());
        }
    }

    fn answered(&mut self) {
        let rest = std::mem::take(&mut self.unspoken);
        if !rest.trim().is_empty() {
            self.say(rest.trim());
        }
        let content = std::mem::take(&mut self.answer);
        let tools = std::mem::take(&mut self.tools);
        self.history.push(chat::Message { tool_calls: tools.clone(), ..message(chat::Role::Assistant, &content) });
        for tool in &tools {
            note("tool", &tool.name);
            self.history.push(chat::Message { tool_call_id: tool.id.clone(), ..message(chat::Role::Tool, WEATHER) });
        }
        if !tools.is_empty() {
            self.ask();
        }
    }
}

fn message(role: chat::Role, content: &str) -> chat::Message {
    chat::Message { role, content: content.to_owned(), tool_calls: Vec::new(), tool_call_id: String::new() }
}

/// For whoever reads the summary; a call has room for a few.
fn note(key: &str, value: &str) {
    let _ = call::note(key, value);
}

impl bot::Guest for Talker {
    fn start(_call: CallInfo, _config: String, _reason: StartReason) -> Result<Accept, Refusal> {
        Ok(Accept { frames: Frames::None, answer: Answer::Now })
    }

    fn on_frame(_frame: Frame) -> Option<Vec<i16>> {
        None
    }

    fn on_event(event: Event) {
        match event {
            Event::Answered => TALK.with_borrow_mut(Talk::begin),
            Event::Hangup(_) => call::done(),
            _ => {}
        }
    }

    fn save() -> Option<Vec<u8>> {
        None
    }
}

impl speech_handler::Guest for Talker {
    fn on_speech(id: u64, event: SpeechEvent) {
        TALK.with_borrow_mut(|talk| match event {
            SpeechEvent::Transcript(transcript) if transcript.final_ => talk.understood(&transcript.text),
            SpeechEvent::Failed(error) if talk.listening == Some(id) => {
                note("ear", &error.code);
                talk.end(NOT_UNDERSTOOD);
            }
            SpeechEvent::Failed(error) => talk.cannot_speak(&error),
            SpeechEvent::UtterancePlayed(_) if talk.last_words == Some(id) => call::hangup(true),
            _ => {}
        });
    }
}

impl chat_handler::Guest for Talker {
    fn on_chat(_id: u64, event: ChatEvent) {
        TALK.with_borrow_mut(|talk| match event {
            ChatEvent::Text(text) => talk.text(&text),
            ChatEvent::ToolCall(tool) => talk.tools.push(tool),
            ChatEvent::Done(_) => talk.answered(),
            ChatEvent::Failed(error) => {
                note("model", &error.code);
                talk.end(APOLOGY);
            }
        });
    }
}

bindings::export!(Talker with_types_in bindings);
