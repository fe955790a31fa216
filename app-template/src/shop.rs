//! What the modules of the shop share. No I/O.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;

use crate::consistency::{Superseded, Written};
use crate::database::Database;
use crate::jobs::{JobState, Webhooks};
use crate::payments::Payments;
use crate::position::Position;
use crate::signing::SigningKeys;

/// The state of every module that needs the database. Cloned with every request.
#[derive(Debug, Clone)]
pub(crate) struct Shop(Arc<Shared>);

/// What a [`Shop`] is made of.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) database: Database,
    /// Sign what clients bring back.
    pub(crate) keys: Option<SigningKeys>,
    /// None without a key for webhooks: then none is sent.
    pub(crate) webhooks: Option<Webhooks>,
    /// None where orders are taken without a payment provider.
    pub(crate) payments: Option<Arc<Payments>>,
}

/// The state of a module that has something of its own beside that.
#[derive(Debug, Clone)]
pub(crate) struct ShopWith<Own> {
    pub(crate) shop: Shop,
    pub(crate) own: Own,
}

impl From<Shared> for Shop {
    fn from(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl FromRef<Shop> for Option<SigningKeys> {
    fn from_ref(shop: &Shop) -> Self {
        shop.keys.clone()
    }
}

impl<Own> FromRef<ShopWith<Own>> for Option<SigningKeys> {
    fn from_ref(state: &ShopWith<Own>) -> Self {
        state.shop.keys.clone()
    }
}

impl JobState for Shop {
    fn database(&self) -> &Database {
        &self.database
    }

    fn webhooks(&self) -> Option<&Webhooks> {
        self.webhooks.as_ref()
    }
}

impl Deref for Shop {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Shared {
    /// What an answer carries after a write that ended at `position`.
    pub(crate) fn written(&self, superseded: Superseded, position: Position) -> Written<'_> {
        Written { keys: self.keys.as_ref(), superseded, position }
    }

    /// The entries of `/healthz`.
    pub(crate) fn health(&self) -> Vec<serde_json::Value> {
        self.database.health()
    }
}
