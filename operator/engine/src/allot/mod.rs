//! ALLOT: what the components of an app share, and what each may have of it. Pure.
//!
//! Each thing that is shared is a function in a file of its own and a row of [`SHARED`]. It may lower ceilings only.
//! What several apps share is granted before, by [`grants`].

pub mod grants;

use crate::app::component::Bounded;
use crate::input::Input;
use grants::AppDemands;

type Shared = fn(&Input<'_>, &mut [Bounded<'_>], &mut AppDemands);

/// What is shared, what must never be passed first. Nothing is shared yet.
const SHARED: [Shared; 0] = [];

/// Lowers the ceilings to what there is, and says what the app uses of budgets that it shares with other apps.
pub(crate) fn allot(input: &Input<'_>, components: &mut [Bounded<'_>]) -> AppDemands {
    let mut demands = AppDemands::new();
    SHARED.iter().for_each(|shared| shared(input, components, &mut demands));
    demands
}
