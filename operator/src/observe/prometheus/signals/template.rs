//! A query template for all apps, and the answers of a family by template. Pure.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use super::selection::Selection;
use crate::observe::prometheus::answer::Outcome;
use crate::observe::prometheus::parts::Part;

/// One query.
#[derive(Clone, Copy)]
pub struct Template {
    /// Its name, in the process' own metrics, too.
    pub name: &'static str,
    /// Its query for the apps of a part.
    pub query: fn(&Selection, &Part<'_>) -> String,
}

/// Why the answers do not fit their family. Each is a mistake in the family's own file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misread {
    /// The family reads an answer without its query.
    #[error("failed to read the template {0}: its family has no such query")]
    Unasked(&'static str),
    /// The family does not read an answer.
    #[error("failed to use the answer to the template {0}: its family does not read it")]
    Unread(&'static str),
}

/// The answers to the templates of one family, each read by its template.
#[derive(Debug, Default)]
pub struct TemplateAnswers<'a>(BTreeMap<Template, &'a Outcome<'a>>);

impl<'a> FromIterator<(Template, &'a Outcome<'a>)> for TemplateAnswers<'a> {
    fn from_iter<I: IntoIterator<Item = (Template, &'a Outcome<'a>)>>(answers: I) -> Self {
        Self(answers.into_iter().collect())
    }
}

impl<'a> TemplateAnswers<'a> {
    /// The answer to a template.
    ///
    /// # Errors
    /// When there is none, or it was taken before.
    pub fn take(&mut self, template: Template) -> Result<&'a Outcome<'a>, Misread> {
        self.0.remove(&template).ok_or(Misread::Unasked(template.name))
    }

    /// Checks that every answer was taken.
    ///
    /// # Errors
    /// When one was not.
    pub fn are_read(&self) -> Result<(), Misread> {
        self.0.keys().next().map_or(Ok(()), |template| Err(Misread::Unread(template.name)))
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Template {}

impl PartialOrd for Template {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Template {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(other.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::prometheus::answer::Data;

    const ONE: Template = Template { name: "one", query: |_, _| String::new() };
    const OTHER: Template = Template { name: "other", query: |_, _| String::new() };

    fn outcome(is_partial: bool) -> Outcome<'static> {
        Outcome { data: Data::Vector(Vec::new()), is_partial }
    }

    #[test]
    fn an_answer_is_read_by_its_template_whatever_the_order() {
        let (whole, partial) = (outcome(false), outcome(true));
        for answers in [[(ONE, &whole), (OTHER, &partial)], [(OTHER, &partial), (ONE, &whole)]] {
            let mut answers: TemplateAnswers<'_> = answers.into_iter().collect();
            assert_eq!(answers.take(OTHER), Ok(&partial));
            assert_eq!(answers.take(ONE), Ok(&whole));
            assert_eq!(answers.are_read(), Ok(()));
        }
    }

    #[test]
    fn a_template_that_nobody_reads_is_an_error() {
        let whole = outcome(false);
        let mut answers: TemplateAnswers<'_> = [(ONE, &whole), (OTHER, &whole)].into_iter().collect();
        answers.take(ONE).unwrap();
        assert_eq!(answers.are_read(), Err(Misread::Unread("other")));
    }

    #[test]
    fn a_template_that_was_not_asked_for_is_an_error() {
        let whole = outcome(false);
        let mut answers: TemplateAnswers<'_> = [(ONE, &whole)].into_iter().collect();
        assert_eq!(answers.take(OTHER), Err(Misread::Unasked("other")));
        answers.take(ONE).unwrap();
        assert_eq!(answers.take(ONE), Err(Misread::Unasked("one")));
    }
}
