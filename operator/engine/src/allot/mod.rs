//! ALLOT: limits on what the components of an app share. Pure.
//!
//! Each shared resource is a function in its own file and a row of [`SHARED`]. It may lower maximum replicas, and hold
//! the current ones. What several apps share is granted earlier, by [`grants`].

pub mod connections;
pub mod grants;
pub(crate) mod turns;

use crate::app::component::Bounded;
use crate::input::Input;
use crate::memory::AppMemory;
use grants::AppDemands;

type Shared = fn(&Input<'_>, &mut [Bounded<'_>], &mut AppMemory, &mut AppDemands);

/// The shared resources, hard limits first. The turns come last: a component that another limit holds asks for no turn.
const SHARED: [Shared; 2] = [connections::share, turns::turns];

/// Lowers the maximum replicas to what is available, and returns the use of budgets that are shared with other apps.
pub(crate) fn allot(input: &Input<'_>, components: &mut [Bounded<'_>], memory: &mut AppMemory) -> AppDemands {
    let mut demands = AppDemands::new();
    SHARED.iter().for_each(|shared| shared(input, components, memory, &mut demands));
    demands
}
