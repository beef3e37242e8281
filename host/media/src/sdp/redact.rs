//! Keeping keys out of traces.

use std::borrow::Cow;

/// Blanks what follows `inline:` in any text that may contain a session description, in any case, with white space around
/// the colon, and folded over several lines.
/// Shape: the same length, line ends, white space and everything from `|` on (lifetime, MKI) kept, so that a Content-Length
/// still holds. Borrowed if there was nothing to blank. It rather blanks too much than too little: all that stands
/// before the `|` or the end of the line.
pub fn redact_crypto(text: &[u8]) -> Cow<'_, [u8]> {
    const INLINE: &[u8] = b"inline";
    let mut blanked: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = find_ignoring_case(&text[at..], INLINE) {
        at += found + INLINE.len();
        let colon = at + text[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        if text.get(colon) != Some(&b':') {
            continue;
        }
        at = key_end(text, colon + 1);
        let out = blanked.get_or_insert_with(|| text.to_vec());
        for byte in out[colon + 1..at].iter_mut().filter(|b| !b.is_ascii_whitespace()) {
            *byte = b'*';
        }
    }
    blanked.map_or(Cow::Borrowed(text), Cow::Owned)
}

fn find_ignoring_case(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window.eq_ignore_ascii_case(word))
}

/// Where the key that begins at `start` has surely ended: a `|`, or a line end that no white space follows.
fn key_end(text: &[u8], start: usize) -> usize {
    let ends = |at: usize| match text[at] {
        b'|' => true,
        b'\r' | b'\n' => !text.get(at + 1).is_some_and(u8::is_ascii_whitespace),
        _ => false,
    };
    (start..text.len()).find(|&at| ends(at)).unwrap_or(text.len())
}
