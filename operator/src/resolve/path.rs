//! The path of a value in the spec, as a user would write it. Pure.

use std::fmt;

/// Path of a field. It is formatted only for a problem.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    /// The spec itself, or the object for `metadata`.
    Root,
    /// A field of an object.
    Field(&'a Path<'a>, &'a str),
    /// An item of a list, by its name.
    Item(&'a Path<'a>, &'a str),
    /// An item of a list without names, by its index.
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
