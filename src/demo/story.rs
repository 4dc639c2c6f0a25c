//! The morning in words: plain text of at most 100 columns, coloured where somebody looks on.

use std::{
    env,
    io::{self, IsTerminal, Write},
    time::Instant,
};

use super::cast::Passenger;

/// The width that everything but long words stays within.
const COLUMNS: usize = 100;
/// Where the text of a line begins, after the time and who speaks.
const TEXT_COLUMN: usize = 35;

/// Prints what happens, each line with the seconds since the beginning.
#[derive(Debug)]
pub(super) struct Story {
    out: Out,
    coloured: bool,
    began: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Out {
    Stdout,
    Stderr,
}

/// How a line looks on a terminal: SGR parameters (ECMA-48, 8.3.117).
#[derive(Clone, Copy)]
enum Look {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
    /// White on black, whatever the terminal's colours are.
    Inverse,
}

impl Look {
    const fn sgr(self) -> &'static str {
        match self {
            Look::Plain => "0",
            Look::Bold => "1",
            Look::Dim => "2",
            Look::Red => "31",
            Look::Green => "32",
            Look::Yellow => "33",
            Look::Cyan => "36",
            Look::Inverse => "97;40",
        }
    }
}

impl Story {
    /// To stderr if stdout belongs to a machine.
    pub(super) fn new(machine_reads_stdout: bool) -> Story {
        let (out, terminal) = match machine_reads_stdout {
            true => (Out::Stderr, io::stderr().is_terminal()),
            false => (Out::Stdout, io::stdout().is_terminal()),
        };
        // https://no-color.org: set and not empty.
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Story { out, coloured: terminal && !refused, began: Instant::now() }
    }

    /// A heading.
    pub(super) fn chapter(&self, title: &str) {
        self.print(Look::Bold, &format!("\n{title}\n{}", "─".repeat(COLUMNS)));
    }

    /// What the narrator says.
    pub(super) fn note(&self, text: &str) {
        self.line(Look::Dim, "", text);
    }

    /// A message from a passenger's phone, or a request of the passenger's app.
    pub(super) fn passenger_says(&self, passenger: Passenger, text: &str) {
        self.line(Look::Cyan, &format!("{passenger} →"), text);
    }

    /// A message to a passenger's phone.
    pub(super) fn passenger_reads(&self, passenger: Passenger, text: &str) {
        self.line(Look::Green, &format!("→ {passenger}"), text);
    }

    /// What the gateway or a carrier says.
    pub(super) fn said(&self, who: &str, text: &str) {
        self.line(Look::Plain, who, text);
    }

    /// What goes wrong, as it was meant to.
    pub(super) fn mishap(&self, who: &str, text: &str) {
        self.line(Look::Yellow, who, text);
    }

    /// A picture or a table, as it is.
    pub(super) fn block(&self, text: &str) {
        self.print(Look::Plain, text);
    }

    /// A QR code, drawn for light text on a dark ground.
    pub(super) fn picture(&self, drawn: &str) {
        for line in drawn.lines() {
            self.print(Look::Inverse, line);
        }
    }

    /// The last words.
    pub(super) fn verdict(&self, clean: bool) {
        let (look, text) = match clean {
            true => {
                (Look::Green, "The books are equal, nothing is in doubt, and every charge has a ticket that verifies.")
            }
            false => (Look::Red, "SOMETHING IS WRONG: see above."),
        };
        self.print(look, &format!("\n{text}"));
    }

    fn line(&self, look: Look, who: &str, text: &str) {
        let ms = self.began.elapsed().as_millis();
        let head = format!("{:>4}.{:03} s  {who}", ms / 1_000, ms % 1_000);
        self.print(look, &laid_out(&head, text));
    }

    /// A reader who has gone away does not stop the morning.
    fn print(&self, look: Look, text: &str) {
        let text = match (self.coloured, look) {
            (false, _) | (_, Look::Plain) => format!("{text}\n"),
            (true, look) => format!("\x1b[{}m{text}\x1b[0m\n", look.sgr()),
        };
        let _gone = match self.out {
            Out::Stdout => io::stdout().lock().write_all(text.as_bytes()),
            Out::Stderr => io::stderr().lock().write_all(text.as_bytes()),
        };
    }
}

/// The head, then the text broken at spaces, all of it in one column.
fn laid_out(head: &str, text: &str) -> String {
    let mut lines = vec![format!("{head:<TEXT_COLUMN$}")];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("begins with one line, and only grows");
        let (at, length) = (line.chars().count(), word.chars().count());
        if at + 1 + length > COLUMNS && at > TEXT_COLUMN {
            lines.push(format!("{:TEXT_COLUMN$}{word}", ""));
        } else {
            if at > TEXT_COLUMN {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_text_is_broken_within_the_columns_and_hangs_under_its_beginning() {
        let text = "Ақша шегерілген жоқ. ".repeat(8);
        let laid_out = laid_out("   1.234 s  → Aigul", &text);
        let lines: Vec<&str> = laid_out.lines().collect();
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS), "{laid_out}");
        assert!(lines[1..].iter().all(|line| line.starts_with(&" ".repeat(TEXT_COLUMN))), "{laid_out}");
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_none_is_cut(text in "[а-яa-z 0-9]{0,300}") {
            let laid_out = laid_out("", &text);
            prop_assert_eq!(
                laid_out.split_whitespace().collect::<Vec<_>>(),
                text.split_whitespace().collect::<Vec<_>>()
            );
        }
    }
}
