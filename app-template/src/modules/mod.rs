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
use crate::shop::{Shop, ShopWith};

/// What single modules have for themselves.
#[derive(Debug)]
pub(crate) struct OwnStates {
    /// What is cached of the catalog.
    pub(crate) products: Products,
    /// None without an object store: then the module media is off.
    pub(crate) media: Option<Media>,
}

/// What modules can get their states from.
struct Process<'a> {
    app: &'a AppState,
    /// What the modules of the shop have; none without a database.
    shop: Option<(&'a Shop, &'a OwnStates)>,
}

/// The routes of the module of this name, if the process has what they need.
type Serve = fn(&Process<'_>, &'static str) -> Option<Router<AppState>>;

/// The modules that need no database.
const PLAIN: [(&str, Serve); 4] = [
    ("welcome", |process, name| Some(process.serve(name, welcome::routes, ()))),
    ("load", |process, name| Some(process.serve(name, load::routes, process.app.cpu.clone()))),
    (PAYMENTS, |process, name| Some(process.serve(name, payments::routes, process.app.payments.clone()?))),
    (VISITS, |process, name| Some(process.serve(name, visits::routes, process.app.sessions.clone()?))),
];

/// The modules that keep their data in the database.
const SHOP: [(&str, Serve); 5] = [
    ("catalog", |process, name| {
        let (shop, own) = process.shop?;
        let state = ShopWith { shop: shop.clone(), own: own.products.clone() };
        Some(process.serve(name, catalog::routes, state))
    }),
    ("accounts", |process, name| Some(process.serve(name, accounts::routes, process.shop?.0.clone()))),
    ("orders", |process, name| Some(process.serve(name, orders::routes, process.shop?.0.clone()))),
    ("reports", |process, name| Some(process.serve(name, reports::routes, process.shop?.0.clone()))),
    (MEDIA, |process, name| {
        let (shop, own) = process.shop?;
        let state = ShopWith { shop: shop.clone(), own: own.media.clone()? };
        Some(process.serve(name, media::routes, state))
    }),
];

impl Process<'_> {
    /// The routes of a module whose handlers share `state`.
    fn serve<S: Clone + Send + Sync + 'static>(
        &self,
        name: &'static str,
        routes: fn(Module<S>) -> Module<S>,
        state: S,
    ) -> Router<AppState> {
        routes(Module::new(name)).into_router(state, &self.app.guards)
    }
}

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
pub(crate) fn routers(asked: &[String], app: &AppState, own: Option<&OwnStates>) -> Router<AppState> {
    let is_wanted = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    let process = Process { app, shop: app.shop.as_ref().zip(own) };
    let served = |modules: &[(&'static str, Serve)]| -> Vec<Router<AppState>> {
        let wanted = modules.iter().filter(|(name, _)| is_wanted(name));
        wanted.filter_map(|(name, serve)| serve(&process, name)).collect()
    };
    let plain = served(&PLAIN);
    let of_shop = served(&SHOP);
    // Whoever adds jobs can be asked for them.
    let of_jobs = app.shop.clone().filter(|_| !of_shop.is_empty());
    let of_jobs = of_jobs.map(|shop| process.serve("jobs", jobs::routes, shop));
    plain.into_iter().chain(of_shop).chain(of_jobs).fold(Router::new(), Router::merge)
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
