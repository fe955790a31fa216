//! The cookies of a browser: what answers set and delete, and what requests bring. Pure.

use std::collections::BTreeMap;

use crate::client::Answer;

#[derive(Debug, Default)]
pub(crate) struct Jar(BTreeMap<String, String>);

impl Jar {
    /// Does what the answer says.
    pub(crate) fn keep(&mut self, answer: &Answer) {
        for cookie in answer.headers.get("set-cookie").into_iter().flat_map(|cookies| cookies.lines()) {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.split(';').any(|attribute| attribute.trim() == "Max-Age=0") {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The header line that a request brings.
    pub(crate) fn header(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("cookie: {}\r\n", pairs.join("; "))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
