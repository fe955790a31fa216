//! Where in the spec a value stands, as a user would write it. Pure.

use std::fmt;

/// Path of a field. It is put into words only when there is a problem to report.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    /// The spec itself, or the object for `metadata`.
    Root,
    /// A field of an object.
    Field(&'a Path<'a>, &'a str),
    /// An item of a list, by its name.
    Item(&'a Path<'a>, &'a str),
    /// An item of a list that has no names, by its place.
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, name) => write!(f, "{parent}[{name}]"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}
