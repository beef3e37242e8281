//! Server-sent events out of bytes, wherever these are split. Source: HTML Living Standard, 9.2.6.

use super::Message;
use crate::error::{Code, Error};

/// The longest event, in bytes of its lines.
pub const EVENT_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct EventStream {
    line: Vec<u8>,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// The first line, which may begin with a byte order mark, is over.
    begun: bool,
    event: String,
    data: String,
    id: String,
    /// Bytes of this event so far.
    bytes: usize,
}

impl EventStream {
    /// Reads on; events that end in these bytes are appended. Errors: `too-long`. Cost: a copy of each byte.
    pub fn read(&mut self, bytes: &[u8], messages: &mut Vec<Message>) -> Result<(), Error> {
        for byte in bytes {
            let is_rest_of_crlf = self.after_cr && *byte == b'\n';
            self.after_cr = *byte == b'\r';
            match byte {
                b'\n' if is_rest_of_crlf => {}
                b'\r' | b'\n' => self.end_line(messages),
                byte => {
                    self.bytes += 1;
                    if self.bytes > EVENT_BYTES_MAX {
                        let message = format!("an event of the stream is longer than {EVENT_BYTES_MAX} bytes");
                        return Err(Error::new(Code::TooLong, message));
                    }
                    self.line.push(*byte);
                }
            }
        }
        Ok(())
    }

    fn end_line(&mut self, messages: &mut Vec<Message>) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = if self.begun { &line } else { line.strip_prefix('\u{feff}').unwrap_or(&line) };
        self.begun = true;
        if line.is_empty() {
            messages.extend(self.end_event());
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = value.to_owned(),
            // A comment, or a field that says nothing to us.
            _ => {}
        }
    }

    /// None if it has no data.
    fn end_event(&mut self) -> Option<Message> {
        self.bytes = 0;
        let (event, id) = (std::mem::take(&mut self.event), std::mem::take(&mut self.id));
        let mut data = std::mem::take(&mut self.data);
        data.pop()?;
        let event = if event.is_empty() { "message".to_owned() } else { event };
        Some(Message { event, data, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&[u8]]) -> Vec<Message> {
        let mut stream = EventStream::default();
        let mut messages = Vec::new();
        for part in parts {
            stream.read(part, &mut messages).unwrap();
        }
        messages
    }

    fn message(event: &str, data: &str, id: &str) -> Message {
        Message { event: event.into(), data: data.into(), id: id.into() }
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let check = |text: &str, expect: &[Message]| assert_eq!(read(&[text.as_bytes()]), expect, "{text:?}");
        check("data: a\n\n", &[message("message", "a", "")]);
        check("data:a\n\n", &[message("message", "a", "")]);
        check("data:  a\n\n", &[message("message", " a", "")]);
        check("data: a\ndata: b\n\n", &[message("message", "a\nb", "")]);
        check("data\n\ndata\ndata\n\n", &[message("message", "", ""), message("message", "\n", "")]);
        check("event: x\nid: 7\ndata: {\"a\": 1}\n\n", &[message("x", "{\"a\": 1}", "7")]);
        check("event: x\ndata: 1\n\ndata: 2\n\n", &[message("x", "1", ""), message("message", "2", "")]);
        check("event: lost\n\ndata: 2\n\n", &[message("message", "2", "")]);
        check(": comment\nretry: 5\nunknown: 1\ndata: a\n\n", &[message("message", "a", "")]);
        check("data: a\r\n\r\ndata: b\r\rdata: c\n\n", &["a", "b", "c"].map(|data| message("message", data, "")));
        check("\u{feff}data: a\n\n", &[message("message", "a", "")]);
        check("id: a\0b\ndata: a\n\n", &[message("message", "a", "")]);
        check("data: unfinished\n", &[]);
        check("\n\n\n", &[]);
    }

    #[test]
    fn events_split_at_every_byte_are_the_same_events() {
        let text =
            "\u{feff}event: add\r\nid: 1\r\ndata: grün\r\ndata: 🎧\r\n\r\n: c\rdata: x\r\r\n\ndata: y\n\n".as_bytes();
        let whole = read(&[text]);
        assert_eq!(whole, [message("add", "grün\n🎧", "1"), message("message", "x", ""), message("message", "y", "")]);
        for at in 0..=text.len() {
            assert_eq!(read(&[&text[..at], &text[at..]]), whole, "split at {at}");
        }
        assert_eq!(read(&text.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    }

    #[test]
    fn an_event_holds_1_mib_and_the_next_one_as_much_again() {
        let mut stream = EventStream::default();
        let mut messages = Vec::new();
        let longest = [b"data:".as_slice(), &vec![b'a'; EVENT_BYTES_MAX - 5], b"\n\n"].concat();
        stream.read(&longest, &mut messages).unwrap();
        stream.read(&longest, &mut messages).unwrap();
        assert_eq!(messages.len(), 2);
        stream.read(&longest[..EVENT_BYTES_MAX], &mut messages).unwrap();
        assert_eq!(stream.read(b"b", &mut messages).unwrap_err().code, Code::TooLong);
        let lines = b"data:\n".repeat(EVENT_BYTES_MAX / 5 + 1);
        assert_eq!(EventStream::default().read(&lines, &mut messages).unwrap_err().code, Code::TooLong);
    }
}
