//! Rows aligned for a screen of 100 columns, and records one key a line.

use serde_json::Value;

/// A table is no wider.
const WIDTH: usize = 100;
/// No column gets narrower.
const COLUMN_WIDTH_MIN: usize = 8;
const GAP: &str = "  ";

/// One column of a table, or one line of a record.
#[derive(Clone, Copy)]
pub struct Column {
    title: &'static str,
    /// Of the JSON of one row, and the time in milliseconds since 1970.
    cell: fn(&Value, u64) -> String,
    fits: Fits,
}

/// What happens to a column in a table that is too wide.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fits {
    /// It stays: somebody will copy it.
    Whole,
    Cut,
}

impl Column {
    pub const fn new(title: &'static str, cell: fn(&Value, u64) -> String) -> Self {
        Self { title, cell, fits: Fits::Whole }
    }

    /// Shown in part, if there is too little room.
    pub const fn cut(mut self) -> Self {
        self.fits = Fits::Cut;
        self
    }
}

/// One line a row under the titles. Cost: one pass to measure, one to write.
pub fn rows(columns: &[Column], rows: &[Value], now_ms: u64) -> String {
    let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    let cells = rows.iter().map(|row| columns.iter().map(|column| shown((column.cell)(row, now_ms))).collect());
    let lines: Vec<Vec<String>> = std::iter::once(titles).chain(cells).collect();
    let widths = widths(columns, &lines);
    let written = lines.iter().map(|line| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| {
            let cell = cut(cell, *width);
            format!("{cell:<width$}")
        });
        cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    });
    written.collect::<Vec<_>>().join("\n")
}

/// The widest cell of each column, less what must be cut: always of the widest that may be.
fn widths(columns: &[Column], lines: &[Vec<String>]) -> Vec<usize> {
    let widest = |index: usize| lines.iter().map(|line| line[index].chars().count()).max().unwrap_or(0);
    let bound = |(index, column): (usize, &Column)| match column.fits {
        Fits::Whole => widest(index),
        Fits::Cut => widest(index).min(WIDTH),
    };
    let mut widths: Vec<usize> = columns.iter().enumerate().map(bound).collect();
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > WIDTH {
        let may_shrink = widths.iter_mut().zip(columns).filter(|(_, column)| column.fits == Fits::Cut);
        match may_shrink.map(|(width, _)| width).filter(|width| **width > COLUMN_WIDTH_MIN).max_by_key(|width| **width)
        {
            Some(width) => *width -= 1,
            None => break,
        }
    }
    widths
}

fn cut(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    cell.chars().take(width.saturating_sub(1)).chain(['\u{2026}']).collect()
}

fn shown(cell: String) -> String {
    if cell.is_empty() { "-".to_owned() } else { plain(&cell) }
}

/// `title  value`, a line each; what is empty is left out.
pub fn record(columns: &[Column], value: &Value, now_ms: u64) -> String {
    let lines: Vec<(&str, String)> = columns
        .iter()
        .map(|column| (column.title, plain(&(column.cell)(value, now_ms))))
        .filter(|(_, cell)| !cell.is_empty())
        .collect();
    let width = lines.iter().map(|(title, _)| title.len()).max().unwrap_or(0);
    lines.iter().map(|(title, cell)| format!("{title:<width$}{GAP}{cell}")).collect::<Vec<_>>().join("\n")
}

/// Text from outside as one line that moves no cursor: callers, bots and hosts write what they like.
pub fn plain(text: &str) -> String {
    // Marks that turn the direction of text hide what stands there.
    let harmful = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let shown = |c: char| match c {
        '\n' | '\t' => ' ',
        c if harmful(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COLUMNS: &[Column] = &[
        Column::new("ID", |row, _| row["id"].as_str().unwrap_or_default().into()),
        Column::new("WHY", |row, _| row["why"].as_str().unwrap_or_default().into()).cut(),
        Column::new("AGE", |row, now| (now - row["at"].as_u64().unwrap_or(0)).to_string()),
    ];

    #[test]
    fn columns_are_aligned_and_what_is_empty_is_a_dash() {
        let list = [json!({"id": "a", "why": "", "at": 1}), json!({"id": "longer", "why": "so", "at": 3})];
        assert_eq!(rows(COLUMNS, &list, 10), "ID      WHY  AGE\na       -    9\nlonger  so   7");
    }

    #[test]
    fn a_table_keeps_to_100_columns_and_cuts_only_what_may_be_cut() {
        let list = [json!({"id": "i".repeat(60), "why": "w".repeat(300), "at": 0})];
        let table = rows(COLUMNS, &list, 0);
        assert!(table.lines().all(|line| line.chars().count() <= WIDTH), "{table}");
        assert!(table.contains(&"i".repeat(60)) && table.contains("w\u{2026}"), "{table}");
        // What somebody will copy is whole, even if the line gets too long.
        let list = [json!({"id": "i".repeat(120), "why": "w".repeat(300), "at": 0})];
        assert!(rows(COLUMNS, &list, 0).contains(&"i".repeat(120)));
    }

    #[test]
    fn what_comes_from_outside_moves_no_cursor() {
        let list = [json!({"id": "\u{1b}[31mred\r\nx\u{202e}\u{9b}2J", "why": "a\nb", "at": 0})];
        let table = rows(COLUMNS, &list, 0);
        assert_eq!(table.lines().count(), 2, "{table:?}");
        assert!(!table.contains(['\u{1b}', '\r', '\u{202e}', '\u{9b}']), "{table:?}");
    }

    #[test]
    fn a_record_leaves_out_what_is_empty() {
        assert_eq!(record(COLUMNS, &json!({"id": "a", "at": 2}), 3), "ID   a\nAGE  1");
    }
}
