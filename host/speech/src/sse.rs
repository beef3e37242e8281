//! Server-sent events, of which chat completions use the data alone. Source: HTML Living Standard 9.2.6.

/// Of one event.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// Bytes in, the data of whole events out.
#[derive(Default)]
pub(crate) struct EventReader {
    line: Vec<u8>,
    data: Vec<u8>,
    after_cr: bool,
}

/// A line or an event is longer than any that an engine needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl EventReader {
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<Vec<u8>>) -> Result<(), TooLong> {
        for &byte in bytes {
            // CR LF, CR and LF each end a line.
            let is_second_half = byte == b'\n' && self.after_cr;
            self.after_cr = byte == b'\r';
            match byte {
                _ if is_second_half => {}
                b'\r' | b'\n' => self.end_line(events),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > EVENT_BYTES_MAX {
                return Err(TooLong);
            }
        }
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<Vec<u8>>) {
        if self.line.is_empty() && !self.data.is_empty() {
            // Each line of data was given a line feed; the last is not the event's.
            self.data.pop();
            events.push(std::mem::take(&mut self.data));
        } else if let Some(data) = self.line.strip_prefix(b"data:") {
            self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
            self.data.push(b'\n');
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let (mut reader, mut events) = (EventReader::default(), Vec::new());
        for piece in pieces {
            reader.push(piece, &mut events).expect("short");
        }
        events.into_iter().map(|event| String::from_utf8(event).expect("text")).collect()
    }

    #[test]
    fn events_are_read_whatever_pieces_and_line_ends_they_come_in() {
        for wire in ["data: one\n\ndata:two\n\n", "data: one\r\n\r\ndata:two\r\n\r\n", "data: one\r\rdata:two\r\r"] {
            assert_eq!(read(&[wire.as_bytes()]), ["one", "two"]);
            let bytes: Vec<&[u8]> = wire.as_bytes().chunks(1).collect();
            assert_eq!(read(&bytes), ["one", "two"]);
        }
    }

    #[test]
    fn comments_other_fields_and_an_unfinished_event_are_no_data() {
        assert_eq!(read(&[b": ping\n\nevent: x\nid: 4\ndata: a\ndata: b\n\ndata: never ended\n"]), ["a\nb"]);
    }

    #[test]
    fn an_event_without_end_is_cut() {
        let mut reader = EventReader::default();
        assert_eq!(reader.push(&vec![b'x'; EVENT_BYTES_MAX], &mut Vec::new()), Ok(()));
        assert_eq!(reader.push(b"x", &mut Vec::new()), Err(TooLong));
    }
}
