//! The decision for one component, and its words. Pure.

pub(crate) mod component;
pub(crate) mod decision;
pub(crate) mod explain;
pub(crate) mod limits;
pub(crate) mod recommendation;
