use comfy_table::{Cell, CellAlignment, Table, TableStyle};
use serde::Serialize;
use std::io::{self, Write};

/// Data on stdout: for people, or one JSON object per line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// One JSON value as a line.
    pub(crate) fn object(self, value: &impl Serialize) -> io::Result<()> {
        let mut line = Vec::new();
        put_line(&mut line, &serde_json::to_vec(value)?);
        self.bytes(&line)
    }

    /// One line of text.
    pub(crate) fn line(self, text: &str) -> io::Result<()> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Bytes as they are, at once.
    pub(crate) fn bytes(self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    }

    /// A table; a head that begins with `>` makes a column of numbers.
    pub(crate) fn table(self, head: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        self.bytes(table(head, rows).as_bytes())
    }
}

/// Appends JSON as one line: between tokens, where alone it can have line breaks, they become
/// spaces.
pub(crate) fn put_line(out: &mut Vec<u8>, json: &[u8]) {
    let start = out.len();
    out.extend_from_slice(json);
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.push(b'\n');
}

/// A table as text, its last line ended.
pub(crate) fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table.set_header(head.iter().map(|name| {
        let name = name.strip_prefix('>').unwrap_or(name);
        Cell::new(name)
    }));
    for row in rows {
        table.add_row(row);
    }
    for (index, name) in head.iter().enumerate() {
        if let (true, Some(column)) = (name.starts_with('>'), table.column_mut(index)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.to_string();
    lines
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}
