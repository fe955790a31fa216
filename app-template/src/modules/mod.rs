//! The modules of the app. No I/O.

mod load;
mod welcome;

use crate::module::Module;

/// Every module that this process serves.
pub(crate) fn all() -> Vec<Module> {
    vec![welcome::module(), load::module()]
}
