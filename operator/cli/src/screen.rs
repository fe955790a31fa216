//! Shows one status after another: in place on a terminal, otherwise a line for each change. I/O.

use std::io::{self, IsTerminal, Write};

use crossterm::cursor::MoveToPreviousLine;
use crossterm::queue;
use crossterm::terminal::{Clear, ClearType, size};
use jiff::Timestamp;

use crate::args::Output;
use crate::history::History;
use crate::printable;
use crate::status::{AppStatus, Decision};
use crate::view;

/// The output of statuses.
pub struct Screen<W> {
    out: W,
    mode: Mode,
    layout: Layout,
    history: History,
    shown: Vec<AppStatus>,
}

/// Apps as text, with at most this many characters per line.
pub type Layout = fn(&[AppStatus], usize) -> String;

enum Mode {
    InPlace { lines: u16 },
    Changes,
    Json,
}

impl Screen<io::Stdout> {
    /// Standard output, in the form for a terminal or a pipe.
    #[must_use]
    pub fn stdout(output: Output) -> Self {
        let out = io::stdout();
        let mode = match output {
            Output::Json => Mode::Json,
            Output::Table if out.is_terminal() => Mode::InPlace { lines: 0 },
            Output::Table => Mode::Changes,
        };
        Self::new(out, mode)
    }
}

impl<W: Write> Screen<W> {
    fn new(out: W, mode: Mode) -> Self {
        Self { out, mode, layout: view::render, history: History::default(), shown: Vec::new() }
    }

    /// Uses another layout than [`view::render`].
    #[must_use]
    pub fn with_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Shows a status that was read `now`.
    ///
    /// # Errors
    /// When nothing can be written, for example because a pipe's reader has gone.
    pub fn show(&mut self, mut apps: Vec<AppStatus>, now: Timestamp) -> io::Result<()> {
        let decisions: Vec<_> = apps.iter_mut().map(|app| self.history.extend(app)).collect();
        match &mut self.mode {
            Mode::InPlace { lines } => {
                let (columns, rows) = terminal();
                *lines = redraw(&mut self.out, *lines, rows, &(self.layout)(&apps, columns))?;
            }
            Mode::Json => writeln!(self.out, "{}", printable::json(&serde_json::to_string(&apps)?))?,
            Mode::Changes => self.append(&apps, &decisions, now)?,
        }
        self.shown = apps;
        self.out.flush()
    }

    /// The whole view for the first status of an app, then only the changes.
    fn append(&mut self, apps: &[AppStatus], decisions: &[Vec<Decision>], now: Timestamp) -> io::Result<()> {
        let mut new = Vec::new();
        for (app, decisions) in apps.iter().zip(decisions) {
            let same = |shown: &&AppStatus| (&shown.namespace, &shown.name) == (&app.namespace, &app.name);
            let Some(before) = self.shown.iter().find(same) else {
                new.push(app.clone());
                continue;
            };
            for line in view::changes(before, app, decisions, now) {
                writeln!(self.out, "{line}")?;
            }
        }
        if new.is_empty() { Ok(()) } else { writeln!(self.out, "{}", (self.layout)(&new, usize::MAX)) }
    }
}

/// Characters of a line of standard output; unlimited where that is no terminal.
#[must_use]
pub fn columns() -> usize {
    if io::stdout().is_terminal() { terminal().0 } else { usize::MAX }
}

/// Columns and rows of the terminal.
pub(crate) fn terminal() -> (usize, usize) {
    usable(size().ok())
}

/// A terminal without a known size reports zero.
fn usable(size: Option<(u16, u16)>) -> (usize, usize) {
    let (columns, rows) = size.unwrap_or_default();
    (if columns == 0 { 80 } else { columns.into() }, if rows == 0 { 24 } else { rows.into() })
}

/// Draws over the last `lines` lines and returns the new number.
///
/// Lines below the last row are omitted: lines that scrolled away could not be drawn over.
pub(crate) fn redraw(out: &mut impl Write, lines: u16, rows: usize, text: &str) -> io::Result<u16> {
    if lines > 0 {
        queue!(out, MoveToPreviousLine(lines), Clear(ClearType::FromCursorDown))?;
    }
    let mut drawn = 0;
    for line in text.lines().take(rows.saturating_sub(1)) {
        writeln!(out, "{line}")?;
        drawn += 1;
    }
    Ok(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_drawing_goes_over_the_first() {
        let mut out = Vec::new();
        let drawn = redraw(&mut out, 0, 24, "a\nb\nc\n").unwrap();
        assert_eq!(
            (drawn, out.as_slice()),
            (3, b"a\nb\nc\n".as_slice()),
            "the first leaves what is above it"
        );
        out.clear();
        assert_eq!(redraw(&mut out, drawn, 24, "d\n").unwrap(), 1);
        assert_eq!(String::from_utf8(out).unwrap(), "\u{1b}[3F\u{1b}[Jd\n");
    }

    #[test]
    fn a_terminal_without_a_size_is_taken_for_a_usual_one() {
        assert_eq!(usable(None), (80, 24));
        assert_eq!(usable(Some((0, 0))), (80, 24));
        assert_eq!(usable(Some((120, 50))), (120, 50));
    }

    #[test]
    fn what_would_scroll_away_is_left_out() {
        let mut out = Vec::new();
        assert_eq!(redraw(&mut out, 0, 3, "a\nb\nc\n").unwrap(), 2);
        assert_eq!(out, b"a\nb\n");
    }
}
