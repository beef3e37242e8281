//! Text cut into sentences while a language model still writes it, so that the first is spoken before the last is thought of.

/// What is longer without an end is cut at a pause, else between words. Far below what `speech.say` takes.
pub const SENTENCE_BYTES_MAX: usize = 600;

/// Ends a sentence where it stands, for these scripts put no space behind it.
const ENDS: [char; 8] = ['。', '！', '？', '｡', '।', '॥', '۔', '؟'];
/// Ends a sentence if a space follows: there are versions, hosts and decimals.
const ENDS_BEFORE_SPACE: [char; 4] = ['.', '!', '?', '…'];
const CLOSING: [char; 10] = ['"', '\'', ')', ']', '”', '’', '»', '」', '』', '*'];
const PAUSES: [char; 8] = [',', ';', ':', '–', '—', '、', '，', '،'];
/// A full stop behind one of these ends no sentence. In lower case.
const ABBREVIATIONS: [&str; 30] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "vs", "no", "nr", "approx", "dept", "est", "fig", "gen", "hon",
    "rs", "smt", "shri", "e.g", "i.e", "z.b", "d.h", "bzw", "ca", "sra", "mme", "ext", "tel",
];

/// Pieces in, sentences out. Each is trimmed, holds a letter or a digit, and is at most [`SENTENCE_BYTES_MAX`] long.
#[derive(Debug, Default)]
pub struct Sentences {
    text: String,
}

impl Sentences {
    pub fn new() -> Sentences {
        Sentences::default()
    }

    /// The sentences that this piece of the text has completed. Whether a full stop is an end is known with what follows it, so the
    /// last sentence waits for the next word, or for `finish`.
    pub fn push(&mut self, piece: &str) -> Vec<String> {
        self.text.push_str(piece);
        let mut sentences = Vec::new();
        while let Some(end) = end_of_first(&self.text) {
            let rest = self.text.split_off(end);
            sentences.extend(spoken(&self.text));
            self.text = rest;
        }
        sentences
    }

    /// What is left at the end of the text. Then another text may begin.
    pub fn finish(&mut self) -> Option<String> {
        spoken(&std::mem::take(&mut self.text))
    }
}

fn spoken(text: &str) -> Option<String> {
    let text = text.trim();
    text.contains(char::is_alphanumeric).then(|| text.to_owned())
}

/// Where the first sentence ends, in bytes; none: not yet known.
fn end_of_first(text: &str) -> Option<usize> {
    let begin = text.len() - text.trim_start().len();
    let found = text[begin..].char_indices().find_map(|(at, c)| {
        let (at, after) = (begin + at, begin + at + c.len_utf8());
        match c {
            '\n' => Some(after),
            // What closes the sentence may be still to come.
            _ if ENDS.contains(&c) => Some(behind_closing(text, after)).filter(|&end| end < text.len()),
            _ if ENDS_BEFORE_SPACE.contains(&c) && is_end(text, at, after) => Some(behind_closing(text, after)),
            _ => None,
        }
    });
    match found {
        Some(end) if end - begin <= SENTENCE_BYTES_MAX => Some(end),
        _ if text.len() - begin > SENTENCE_BYTES_MAX => Some(begin + cut(&text[begin..])),
        _ => None,
    }
}

/// Whether the full stop or the like at `at` ends a sentence, as far as what follows tells.
fn is_end(text: &str, at: usize, after: usize) -> bool {
    let rest = &text[behind_closing(text, after)..];
    let Some(next) = rest.chars().find(|c| !c.is_whitespace()) else { return false };
    if !rest.starts_with(char::is_whitespace) {
        return false;
    }
    if !text[at..].starts_with('.') {
        return true;
    }
    let word = text[..at].rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default().to_lowercase();
    let is_initial = word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    // `1.` at the beginning counts what follows.
    let is_ordinal = text[..at].trim().chars().all(|c| c.is_ascii_digit());
    let is_inner = is_initial || is_ordinal || ABBREVIATIONS.contains(&word.as_str());
    !is_inner && !next.is_lowercase()
}

fn behind_closing(text: &str, after: usize) -> usize {
    let closes = |c: char| CLOSING.contains(&c) || ENDS.contains(&c) || ENDS_BEFORE_SPACE.contains(&c);
    let rest = &text[after..];
    after + rest.len() - rest.trim_start_matches(closes).len()
}

/// Where a text that is too long is cut: behind its last pause, else its last space, else anywhere between two characters.
fn cut(text: &str) -> usize {
    let most = (0..=SENTENCE_BYTES_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    let head = &text[..most];
    let behind = |found: fn(char) -> bool| {
        head.char_indices().rev().find(|&(at, c)| at > 0 && found(c)).map(|(at, c)| at + c.len_utf8())
    };
    behind(|c| PAUSES.contains(&c)).or_else(|| behind(char::is_whitespace)).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same sentences must come, however the text is cut into pieces.
    fn check(text: &str, expected: &[&str]) {
        for size in [1, 2, 7, usize::MAX] {
            let characters: Vec<char> = text.chars().collect();
            let mut sentences = Sentences::new();
            let mut found: Vec<String> =
                characters.chunks(size).flat_map(|piece| sentences.push(&piece.iter().collect::<String>())).collect();
            found.extend(sentences.finish());
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_sentence_ends_with_its_full_stop() {
        check("Hello there. How are you? Fine!  ", &["Hello there.", "How are you?", "Fine!"]);
        check("Well... Yes?! \"Done.\" Good.", &["Well...", "Yes?!", "\"Done.\"", "Good."]);
    }

    #[test]
    fn the_first_is_there_as_soon_as_the_second_begins() {
        let mut sentences = Sentences::new();
        assert!(sentences.push("One moment").is_empty());
        assert!(sentences.push(".").is_empty());
        assert_eq!(sentences.push(" I"), ["One moment."]);
        assert_eq!(sentences.finish().as_deref(), Some("I"));
        assert_eq!(sentences.finish(), None);
    }

    #[test]
    fn numbers_names_and_abbreviations_hold_together() {
        check(
            "That is Rs. 3.50 for Dr. J. Rao. Pay at example.com. OK?",
            &["That is Rs. 3.50 for Dr. J. Rao.", "Pay at example.com.", "OK?"],
        );
        check(
            "Bring fruit, e.g. Apples, approx. two. v1.2.3 is out.",
            &["Bring fruit, e.g. Apples, approx. two. v1.2.3 is out."],
        );
        check("Es kommt am 3. an. Gut.", &["Es kommt am 3. an.", "Gut."]);
        check("It is 7. You are late.", &["It is 7.", "You are late."]);
    }

    #[test]
    fn lines_are_sentences_and_their_numbers_stay_with_them() {
        check("You can:\n1. Pay\n2. Leave\n\n- **Stay**\n***\n", &["You can:", "1. Pay", "2. Leave", "- **Stay**"]);
    }

    #[test]
    fn other_scripts_have_other_full_stops() {
        check("नमस्ते। आप कैसे हैं? ठीक॥", &["नमस्ते।", "आप कैसे हैं?", "ठीक॥"]);
        check("你好。请稍等！「好。」行", &["你好。", "请稍等！", "「好。」", "行"]);
        check("آپ کیسے ہیں؟ ٹھیک۔", &["آپ کیسے ہیں؟", "ٹھیک۔"]);
    }

    #[test]
    fn what_never_ends_is_cut_at_a_pause_or_between_words() {
        let all = |text: &str| {
            let mut sentences = Sentences::new();
            let mut found = sentences.push(text);
            found.extend(sentences.finish());
            assert!(found.iter().all(|sentence| sentence.len() <= SENTENCE_BYTES_MAX));
            found
        };
        let words = "word ".repeat(300);
        assert_eq!(all(&words).concat().replace(' ', ""), words.replace(' ', ""));
        assert!(all(&words).iter().all(|sentence| sentence.starts_with("word") && sentence.ends_with("word")));
        assert!(all(&format!("{}, {words}", "x".repeat(300)))[0].ends_with("x,"));
        assert_eq!(all(&"म".repeat(1000)).concat(), "म".repeat(1000));
        assert!(all(&format!("{}. Then.", "word ".repeat(200))).len() >= 3);
    }
}
