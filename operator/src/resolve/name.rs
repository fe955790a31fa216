//! Names that leave room for the names of all children. Pure.

use super::invalid::Problems;
use super::path::Path;
use std::fmt;

/// A DNS-1035 label of at most `MAX` characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<const MAX: usize>(String);

/// Name of an app, at most 30 characters.
pub type AppName = Name<30>;

/// Name of a component, at most 20 characters: `<app>-<component>-<revision>` then has at most 62, and a Service's name
/// may have 63.
pub type ComponentName = Name<20>;

impl<const MAX: usize> Name<MAX> {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn resolve(text: &str, path: Path<'_>, problems: &mut Problems) -> Self {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_label = text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(inner)
            && !text.ends_with('-');
        if !is_label || text.len() > MAX {
            let sentence = format!(
                "use at most {MAX} lower case letters, digits and hyphens, starting with a letter and not ending with a hyphen"
            );
            problems.refuse(path, sentence);
        }
        Self(text.to_owned())
    }
}

impl<const MAX: usize> fmt::Display for Name<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(text: &str) -> bool {
        let mut problems = Problems::default();
        let name = ComponentName::resolve(text, Path::Root, &mut problems);
        problems.or(name).is_ok()
    }

    #[test]
    fn a_name_that_could_not_become_the_name_of_a_service_is_refused() {
        for text in ["web", "a", "web-2", "abcdefghijklmnopqrst"] {
            assert!(is_accepted(text), "{text}");
        }
        for text in ["", "-web", "web-", "2web", "Web", "web_1", "wéb", "abcdefghijklmnopqrstu"] {
            assert!(!is_accepted(text), "{text}");
        }
    }
}
