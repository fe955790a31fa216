//! Shows one look after the other: in place on a terminal, a line for each change elsewhere. I/O.

use std::io::{self, IsTerminal, Write};

use crossterm::cursor::MoveToPreviousLine;
use crossterm::queue;
use crossterm::terminal::{Clear, ClearType, size};
use jiff::Timestamp;

use crate::args::Output;
use crate::history::History;
use crate::status::AppStatus;
use crate::view;

/// Where looks are shown.
pub struct Screen<W> {
    out: W,
    mode: Mode,
    history: History,
    shown: Vec<AppStatus>,
}

enum Mode {
    InPlace { lines: u16 },
    Changes,
    Json,
}

impl Screen<io::Stdout> {
    /// Standard output, in the shape that suits what it is connected to.
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
        Self { out, mode, history: History::default(), shown: Vec::new() }
    }

    /// Shows a look that was taken `now`.
    ///
    /// # Errors
    /// When nothing can be written, for example because a pipe's reader has gone.
    pub fn show(&mut self, mut apps: Vec<AppStatus>, now: Timestamp) -> io::Result<()> {
        let decisions: Vec<_> = apps.iter_mut().map(|app| self.history.extend(app)).collect();
        match &mut self.mode {
            Mode::InPlace { lines } => *lines = redraw(&mut self.out, *lines, &view::render(&apps))?,
            Mode::Json => writeln!(self.out, "{}", serde_json::to_string(&apps)?)?,
            Mode::Changes => {
                for (after, new) in apps.iter().zip(&decisions) {
                    let same = |before: &&AppStatus| {
                        (&before.namespace, &before.name) == (&after.namespace, &after.name)
                    };
                    match self.shown.iter().find(same) {
                        None => writeln!(self.out, "{}", view::render(std::slice::from_ref(after)))?,
                        Some(before) => {
                            for line in view::changes(before, after, new, now) {
                                writeln!(self.out, "{line}")?;
                            }
                        }
                    }
                }
            }
        }
        self.shown = apps;
        self.out.flush()
    }
}

/// Draws over the `lines` that were drawn before and returns how many there are now.
///
/// What does not fit is cut off: a line that wraps, or that scrolls away, could not be drawn over.
fn redraw(out: &mut impl Write, lines: u16, text: &str) -> io::Result<u16> {
    let (columns, rows) = size().unwrap_or((100, 40));
    if lines > 0 {
        queue!(out, MoveToPreviousLine(lines), Clear(ClearType::FromCursorDown))?;
    }
    let mut drawn = 0;
    for line in text.lines().take(usize::from(rows.saturating_sub(1))) {
        writeln!(out, "{}", line.chars().take(usize::from(columns)).collect::<String>())?;
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
        let drawn = redraw(&mut out, 0, "a\nb\nc\n").unwrap();
        assert_eq!(
            (drawn, out.as_slice()),
            (3, b"a\nb\nc\n".as_slice()),
            "the first leaves what is above it"
        );
        out.clear();
        assert_eq!(redraw(&mut out, drawn, "d\n").unwrap(), 1);
        assert_eq!(String::from_utf8(out).unwrap(), "\u{1b}[3F\u{1b}[Jd\n");
    }

    #[test]
    fn a_line_that_would_wrap_is_cut() {
        let mut out = Vec::new();
        redraw(&mut out, 0, &"x".repeat(10_000)).unwrap();
        assert!(out.len() < 10_000);
    }
}
