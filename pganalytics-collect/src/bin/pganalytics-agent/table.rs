//! Text in columns.

use std::fmt;

/// Longest cell; the rest is cut off.
const WIDEST: usize = 48;

/// A table with a heading.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heading: impl IntoIterator<Item = String>) -> Self {
        Self { rows: vec![heading.into_iter().collect()] }
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
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let cell_width = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().map(|row| cell_width(row, column)).max().unwrap_or_default())
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                let pad = width.saturating_sub(cell.chars().count()) + 2;
                line.extend(std::iter::repeat_n(' ', pad));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
