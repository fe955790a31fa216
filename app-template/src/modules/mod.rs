//! The modules of the app. No I/O.

mod load;
mod payments;
mod visits;
mod welcome;

use crate::module::Module;
use crate::router::AppState;

/// Every module that this process serves.
pub(crate) fn all(app: &AppState) -> Vec<Module> {
    let mut modules = vec![welcome::module(), load::module()];
    modules.extend(app.payments.is_some().then(payments::module));
    modules.extend(app.sessions.is_some().then(visits::module));
    modules
}
