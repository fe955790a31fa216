//! ALLOT: limits on what the components of an app share. Pure.
//!
//! Each shared resource is a function in its own file and a row of [`SHARED`]. It may only lower maximum replicas. What
//! several apps share is granted earlier, by [`grants`].

pub mod grants;

use crate::app::component::Bounded;
use crate::input::Input;
use grants::AppDemands;

type Shared = fn(&Input<'_>, &mut [Bounded<'_>], &mut AppDemands);

/// The shared resources, hard limits first. None exists yet.
const SHARED: [Shared; 0] = [];

/// Lowers the maximum replicas to what is available, and returns the use of budgets that are shared with other apps.
pub(crate) fn allot(input: &Input<'_>, components: &mut [Bounded<'_>]) -> AppDemands {
    let mut demands = AppDemands::new();
    SHARED.iter().for_each(|shared| shared(input, components, &mut demands));
    demands
}
