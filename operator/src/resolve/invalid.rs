//! The problems of a spec, in words. Pure.

use super::path::Path;
use scalableapp_crds::printable;
use std::fmt;

/// One problem of a spec: its place, and what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// Path of the field, for example `services[web].podTemplate.spec.hostNetwork`; empty for the number of further
    /// problems.
    pub path: String,
    /// What to change, as a sentence.
    pub sentence: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, sentence } = self;
        if path.is_empty() { f.write_str(sentence) } else { write!(f, "{path}: {sentence}") }
    }
}

/// Characters of all problems of a list together: a condition's message has 1024, and begins with the component's name.
const ROOM: usize = 900;

/// Characters between two problems.
const SEPARATOR: usize = 2;

/// Characters of a path, and of a sentence: their quotations may be as long as an object.
const LENGTH: usize = 240;

/// A text without control characters, shortened in its middle: the end says what to change.
fn shown(text: &str) -> String {
    let text = printable(text);
    let characters = text.chars().count();
    if characters <= LENGTH {
        return text.into_owned();
    }
    let half = LENGTH / 2;
    let start = text.chars().take(half);
    let end = text.chars().skip(characters - half + 1);
    start.chain(['…']).chain(end).collect()
}

/// The problems so far, so that a user sees all of them at once.
///
/// An invalid value is replaced by a placeholder: with a problem in the list the result is never used.
#[derive(Default)]
pub(super) struct Problems {
    told: Vec<Invalid>,
    characters: usize,
    /// Problems that are only counted.
    untold: usize,
}

impl Problems {
    /// Adds a problem. It is only counted if the list is full: a spec may have as many problems as values.
    pub(super) fn refuse(&mut self, path: Path<'_>, sentence: impl Into<String>) {
        if self.untold > 0 {
            self.untold += 1;
            return;
        }
        let problem = Invalid { path: shown(&path.to_string()), sentence: shown(&sentence.into()) };
        let characters = self.characters + problem.to_string().chars().count() + SEPARATOR;
        if characters > ROOM && !self.told.is_empty() {
            self.untold = 1;
        } else {
            self.characters = characters;
            self.told.push(problem);
        }
    }

    /// All of them; the last one has the number of those that did not fit.
    pub(super) fn into_vec(mut self) -> Vec<Invalid> {
        let sentence = match self.untold {
            0 => return self.told,
            1 => "and 1 more problem".to_owned(),
            more => format!("and {more} more problems"),
        };
        self.told.push(Invalid { path: String::new(), sentence });
        self.told
    }

    /// The value, unless there is a problem.
    pub(super) fn or<T>(self, value: T) -> Result<T, Vec<Invalid>> {
        if self.told.is_empty() { Ok(value) } else { Err(self.into_vec()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(refused: &[(&str, &str)]) -> String {
        let mut problems = Problems::default();
        for (name, sentence) in refused {
            problems.refuse(Path::Item(&Path::Field(&Path::Root, "list"), name), *sentence);
        }
        problems.into_vec().iter().map(Invalid::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_a_user_wrote_is_quoted_without_control_characters() {
        let message = message(&[("a\u{1b}[2J", "\"\u{202e}b\n\" is no name")]);
        assert_eq!(message, r#"list[a\u{1b}[2J]: "\u{202e}b\u{a}" is no name"#);
    }

    #[test]
    fn a_list_of_problems_ends_with_a_whole_sentence_and_the_number_of_the_others() {
        let said = message(&[("item", "change this in one sentence of some length"); 100]);
        let problem = "list[item]: change this in one sentence of some length; ";
        let told = 900 / problem.len();
        assert_eq!(said, format!("{}and {} more problems", problem.repeat(told), 100 - told));
        assert!(message(&[("item", "x"); 3]).ends_with("; list[item]: x"));
    }

    #[test]
    fn a_long_quotation_leaves_room_for_what_to_change() {
        let long = "ü".repeat(100_000);
        let problem = message(&[(&long, &format!("write {long} as a list"))]);
        assert!(problem.chars().count() < 500, "{problem}");
        assert!(problem.starts_with("list[üü") && problem.contains("ü]: write ü"), "{problem}");
        assert!(problem.ends_with("ü as a list"), "{problem}");
    }

    #[test]
    fn one_more_problem_is_told_in_the_singular() {
        let long = "x".repeat(230);
        let said = message(&[("item", long.as_str()); 4]);
        assert!(said.ends_with("x; and 1 more problem"), "{said}");
    }
}
