//! The implementations of a cluster's node. Pure.

/// The node of a cluster: a real one, or a simulated one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// A kubelet with containerd: pods are processes.
    Real,
    /// KWOK: pods become Ready and run nothing, so that thousands of them cost little.
    Hollow,
}

impl Nodes {
    /// The flag that passes the choice to the next process.
    pub(super) fn flag(self) -> &'static [&'static str] {
        match self {
            Self::Real => &[],
            Self::Hollow => &["--hollow"],
        }
    }
}
