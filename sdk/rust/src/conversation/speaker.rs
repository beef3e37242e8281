//! Says an answer sentence by sentence while it is still being written, and knows how much of it was heard.

use std::collections::VecDeque;
use std::mem;

use super::{Call, Said, SayOptions, Saying};
use crate::Error;

/// Sentences that wait with the engine, at most: the host takes twice as many.
const WAITING_MAX: usize = 16;
/// How long one sentence may take until it has been heard. Engines have time-outs of their own; this is for those that break them.
const SENTENCE_MS_MAX: u64 = 60_000;
/// How fast a voice reads, for the part of a sentence that was heard before it was cut off.
const CHARACTERS_A_SECOND: u64 = 15;

/// See the module. Dropped, it says nothing more.
pub struct Speaker {
    call: Call,
    options: SayOptions,
    waiting: VecDeque<(String, Saying)>,
    heard: String,
    /// When the last sentence was over, in ms since the call began.
    silent_since_ms: u64,
    cut_off: bool,
}

impl Speaker {
    pub fn new(call: &Call, options: SayOptions) -> Speaker {
        let (call, silent_since_ms) = (call.clone(), call.now_ms());
        Speaker { call, options, waiting: VecDeque::new(), heard: String::new(), silent_since_ms, cut_off: false }
    }

    /// Says it behind what was said before. Waits only if much waits already. Errors are those of a sentence before it.
    pub async fn say(&mut self, sentence: String) -> Result<(), Error> {
        while self.waiting.len() >= WAITING_MAX {
            self.first_is_over().await?;
        }
        let saying = self.call.say_as(&sentence, &self.options);
        self.waiting.push_back((sentence, saying));
        Ok(())
    }

    /// Until all of it has been heard, or was cut off.
    pub async fn finish(&mut self) -> Result<(), Error> {
        while !self.waiting.is_empty() {
            self.first_is_over().await?;
        }
        Ok(())
    }

    /// Whether the caller or the bot cut something off.
    pub fn was_cut_off(&self) -> bool {
        self.cut_off
    }

    /// What the caller has heard so far: of a sentence that plays or was cut off, as much as a voice reads in the time, by whole words.
    /// Cuts off what is still to be said.
    pub fn stop(&mut self) -> String {
        while let Some((sentence, mut saying)) = self.waiting.pop_front() {
            self.count(&sentence, &mut saying);
        }
        mem::take(&mut self.heard)
    }

    async fn first_is_over(&mut self) -> Result<(), Error> {
        let Some((_, saying)) = self.waiting.front_mut() else { return Ok(()) };
        let result = self.call.within(SENTENCE_MS_MAX, saying).await.unwrap_or_else(|| {
            let message = "a sentence was not heard in time".to_owned();
            Err(Error { code: "timed-out".to_owned(), message })
        });
        if let Some((sentence, mut saying)) = self.waiting.pop_front() {
            self.count(&sentence, &mut saying);
        }
        result.map(|_| ())
    }

    fn count(&mut self, sentence: &str, saying: &mut Saying) {
        let over = saying.over().cloned();
        let heard = match &over {
            Some((_, Ok(Said::Whole))) => sentence,
            _ => {
                self.cut_off = true;
                let until_ms = over.as_ref().map_or(self.call.now_ms(), |(at_ms, _)| *at_ms);
                let from_ms = saying.began_ms().map(|began_ms| began_ms.max(self.silent_since_ms));
                words_read_in(sentence, from_ms.map_or(0, |from_ms| until_ms.saturating_sub(from_ms)))
            }
        };
        if !heard.is_empty() {
            if !self.heard.is_empty() {
                self.heard.push(' ');
            }
            self.heard.push_str(heard);
        }
        self.silent_since_ms = over.map_or(self.call.now_ms(), |(at_ms, _)| at_ms);
    }
}

/// The words that begin the sentence and are whole within that time.
fn words_read_in(sentence: &str, ms: u64) -> &str {
    let characters = usize::try_from(ms * CHARACTERS_A_SECOND / 1000).unwrap_or(usize::MAX);
    let Some((end, _)) = sentence.char_indices().nth(characters) else { return sentence };
    sentence[..end].rfind(char::is_whitespace).map_or("", |end| sentence[..end].trim_end())
}
