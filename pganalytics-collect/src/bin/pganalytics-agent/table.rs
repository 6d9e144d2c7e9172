//! Text in columns.

use std::fmt;

/// Longest cell; the rest is cut off.
const WIDEST: usize = 48;

/// Between two columns.
const GAP: usize = 2;

/// A table with a heading.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// Columns that are shown, from the left.
    shown: usize,
}

impl Table {
    pub(crate) fn new(heading: impl IntoIterator<Item = String>) -> Self {
        Self { rows: vec![heading.into_iter().collect()], shown: usize::MAX }
    }

    /// Adds a row; long cells are cut.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| short(&cell)).collect());
    }

    /// Adds a row whose last cell may be of any length.
    pub(crate) fn long_row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<String> = cells.into_iter().collect();
        let last = cells.pop();
        let mut row: Vec<String> = cells.iter().map(|cell| short(cell)).collect();
        row.extend(last.map(|last| one_line(&last)));
        self.rows.push(row);
    }

    /// Leaves out columns on the right until the table is no wider than this,
    /// and says how many there were. One column always stays.
    pub(crate) fn fit(&mut self, width: usize) -> usize {
        let widths = self.widths();
        let mut used = 0;
        let fitting = widths.iter().take_while(|column| {
            used += **column + GAP;
            used <= width + GAP
        });
        self.shown = fitting.count().max(1);
        widths.len().saturating_sub(self.shown)
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let cell_width = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
        (0..columns)
            .map(|column| self.rows.iter().map(|row| cell_width(row, column)).max().unwrap_or_default())
            .collect()
    }
}

/// Columns of a terminal.
const WIDTH: usize = 80;

/// A text in lines that fit a terminal; the first begins with `first`, the others
/// with `then`. A word that is longer stays whole.
pub(crate) fn wrapped(text: &str, first: &str, then: &str) -> String {
    let mut lines = String::from(first);
    let mut used = first.chars().count();
    let mut begins = true;
    for word in one_line(text).split(' ') {
        let length = word.chars().count();
        if !begins && used + 1 + length > WIDTH {
            lines.push('\n');
            lines.push_str(then);
            used = then.chars().count();
            begins = true;
        }
        if !begins {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += length;
        begins = false;
    }
    lines.push('\n');
    lines
}

/// Control characters could play tricks with a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn short(text: &str) -> String {
    let line = one_line(text);
    if line.chars().count() <= WIDEST {
        return line;
    }
    line.chars().take(WIDEST - 1).chain(['…']).collect()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths).take(self.shown) {
                line.push_str(cell);
                let pad = width.saturating_sub(cell.chars().count()) + GAP;
                line.extend(std::iter::repeat_n(' ', pad));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_broken_between_words() {
        let text = wrapped(&"word ".repeat(40), "  - ", "    ");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH) && text.lines().count() == 3, "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("    word")));
        assert_eq!(wrapped("works     role: x\u{1b}y", "  ", ""), "  works     role: x y\n");
    }

    #[test]
    fn columns_that_do_not_fit_are_left_out_and_counted() {
        let mut table = Table::new(["name", "n", "what"].map(str::to_owned));
        table.row(["orders", "1", "a\tb\u{1b}[31m"].map(str::to_owned));
        assert_eq!(table.fit(usize::MAX - GAP), 0);
        assert_eq!(table.to_string(), "name    n  what\norders  1  a b [31m\n");
        assert_eq!(table.fit(9), 1);
        assert_eq!(table.to_string(), "name    n\norders  1\n");
        assert_eq!(table.fit(0), 2);
        assert_eq!(table.to_string(), "name\norders\n");
    }
}
