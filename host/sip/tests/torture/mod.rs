//! Reads `messages.txt`: torture messages and what a UAS makes of each.

/// One message and what must become of it.
pub struct Case {
    /// Section and what it tries.
    pub title: String,
    /// `request`, `response`, `drop` or a status.
    pub reader: String,
    /// A status, `call` or `none`.
    pub uas: String,
    /// What the typed access must say: name and value, unescaped.
    pub says: Vec<(String, Vec<u8>)>,
    pub bytes: Vec<u8>,
}

pub fn cases() -> Vec<Case> {
    include_str!("messages.txt").split("\n### ").skip(2).map(case).collect()
}

fn case(text: &str) -> Case {
    let (head, message) = text.split_once("\n---\n").expect("a case has ---");
    let message = message.trim_end().strip_suffix("===").expect("a case ends with ===");
    let (title, keys) = head.split_once('\n').expect("a case has keys");
    let mut says: Vec<(String, Vec<u8>)> = Vec::new();
    for line in keys.lines() {
        let (key, value) = line.split_once(':').expect(line);
        says.push((key.to_owned(), bytes_of(value.trim_start())));
    }
    let mut take = |name: &str| {
        let at = says.iter().position(|(key, _)| key == name).expect(name);
        String::from_utf8(says.remove(at).1).expect(name)
    };
    let (reader, uas) = (take("reader"), take("uas"));
    let bytes = bytes_of(&message.replace('\n', "\r\n"));
    let body = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect(title) + 4;
    let length = (bytes.len() - body).to_string();
    Case { title: title.to_owned(), reader, uas, says, bytes: replaced(&bytes, b"{length}", length.as_bytes()) }
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match text.windows(from.len()).position(|window| window == from) {
        Some(at) => [&text[..at], to, &text[at + from.len()..]].concat(),
        None => text.to_vec(),
    }
}

/// `\xNN` is that byte, `{N*text}` repeats.
fn bytes_of(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if let Some(byte) = rest.strip_prefix("\\x").and_then(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok()) {
            out.push(byte);
            rest = &rest[4..];
        } else if let Some((times, what, after)) = repetition(rest) {
            out.extend(bytes_of(what).repeat(times));
            rest = after;
        } else {
            out.extend_from_slice(letter.to_string().as_bytes());
            rest = &rest[letter.len_utf8()..];
        }
    }
    out
}

fn repetition(text: &str) -> Option<(usize, &str, &str)> {
    let (times, rest) = text.strip_prefix('{')?.split_once('*')?;
    let (what, after) = rest.split_once('}')?;
    Some((times.parse().ok()?, what, after))
}
