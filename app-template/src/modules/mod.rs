//! The modules of the app, and which of them a process serves. No I/O.
//!
//! A module is a folder or a file whose inside is its own: what other modules may call stands in its `mod.rs` as
//! `pub(super)`, and its tables are in a schema of its own. So a module can be served by a component of its own, by
//! configuration alone.

mod accounts;
mod catalog;
mod jobs;
mod load;
mod media;
mod orders;
mod payments;
mod reports;
mod visits;
mod welcome;

use axum::Router;

pub(crate) use catalog::Products;
pub(crate) use media::Media;
pub use media::MediaError;

use crate::app_state::AppState;
use crate::jobs::{Work, delivery};
use crate::module::Module;
use crate::shop::Shop;

type Routes<S> = fn(Module<S>) -> Module<S>;

/// The modules that need no database.
const PLAIN: [(&str, Routes<AppState>); 4] = [
    ("welcome", welcome::routes),
    ("load", load::routes),
    (PAYMENTS, payments::routes),
    (VISITS, visits::routes),
];

/// The modules that keep their data in the database.
const SHOP: [(&str, Routes<Shop>); 5] = [
    ("catalog", catalog::routes),
    ("accounts", accounts::routes),
    ("orders", orders::routes),
    ("reports", reports::routes),
    (MEDIA, media::routes),
];

/// This one needs an object store too.
pub(crate) const MEDIA: &str = "media";
/// This one needs a payment provider.
pub(crate) const PAYMENTS: &str = "payments";
/// This one needs Redis.
pub(crate) const VISITS: &str = "visits";

/// What runs the jobs of all modules.
pub(crate) fn works() -> Vec<Work<Shop>> {
    vec![orders::CHARGE, reports::MAKE, delivery()]
}

/// The name if it is a module's.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let mut names = PLAIN.iter().map(|(name, _)| *name).chain(SHOP.iter().map(|(name, _)| *name));
    if names.any(|name| name == text) {
        return Ok(text.to_owned());
    }
    let all: Vec<&str> =
        PLAIN.iter().map(|(name, _)| *name).chain(SHOP.iter().map(|(name, _)| *name)).collect();
    Err(format!("there is no module {text}, choose from {}", all.join(", ")))
}

/// Whether the module keeps its data in the database.
pub(crate) fn needs_database(name: &str) -> bool {
    SHOP.iter().any(|(shop, _)| *shop == name)
}

/// The routes of the modules that were asked for, or of all if none was; of these only those that have what they need.
pub(crate) fn routers(asked: &[String], app: &AppState) -> Router<AppState> {
    let is_wanted = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    let is_possible = |name: &str| match name {
        MEDIA => app.shop.as_ref().is_some_and(|shop| shop.media.is_some()),
        PAYMENTS => app.payments.is_some(),
        VISITS => app.sessions.is_some(),
        _ => true,
    };
    let mut router = Router::new();
    for (name, routes) in PLAIN.into_iter().filter(|(name, _)| is_wanted(name) && is_possible(name)) {
        router = router.merge(routes(Module::new(name)).into_router(app.clone(), &app.guards));
    }
    let Some(shop) = &app.shop else { return router };
    let mut is_any = false;
    for (name, routes) in SHOP.into_iter().filter(|(name, _)| is_wanted(name) && is_possible(name)) {
        router = router.merge(routes(Module::new(name)).into_router(shop.clone(), &app.guards));
        is_any = true;
    }
    if is_any {
        // Whoever adds jobs can be asked for them.
        router = router.merge(jobs::routes(Module::new("jobs")).into_router(shop.clone(), &app.guards));
    }
    router
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_module_is_refused_with_the_names_there_are() {
        assert_eq!(name("orders"), Ok("orders".to_owned()));
        let refusal = name("order").unwrap_err();
        assert!(
            refusal.contains("no module order,")
                && refusal.contains("welcome, load, payments, visits, catalog"),
            "{refusal}"
        );
    }

    /// The compiler keeps a module's code apart, this its data.
    #[test]
    fn no_module_names_a_table_of_another() {
        let sources = [
            ("catalog", include_str!("catalog/store.rs")),
            ("accounts", include_str!("accounts/store.rs")),
            ("orders", include_str!("orders/store.rs")),
            ("media", include_str!("media/store.rs")),
            ("reports", include_str!("reports/store.rs")),
        ];
        for (module, source) in sources {
            for (other, _) in sources.iter().filter(|(other, _)| *other != module) {
                assert!(!source.contains(&format!("{other}.")), "{module} names a table of {other}");
            }
            assert!(source.contains(&format!("{module}.")), "{module} has tables");
        }
    }
}
