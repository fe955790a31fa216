//! What stands in the way of the requests of a service with a route, in words. Pure.

use super::component_state::Failure;
use crate::observe::cluster::access::Access;
use crate::observe::cluster::routes::{ACCEPTED, CachedRoute, RESOLVED_REFS, RouteCondition};
use scalableapp_crds::limits::clip;
use scalableapp_crds::{GatewayRef, printable};
use scalableapp_engine::reason::{self, Reason};

/// Characters of a gateway's message that are shown.
const MESSAGE: usize = 256;

/// What stands in the way of requests by this HTTPRoute; `None` where every Gateway accepts it, or nothing is known yet.
/// `is_unresolved` tells whether a Gateway has not found what it refers to for long.
pub(super) fn problem(
    access: Access,
    name: &str,
    gateways: &[GatewayRef],
    found: Option<&CachedRoute>,
    is_unresolved: bool,
) -> Option<Failure> {
    let told = |reason: Reason, message: String| Some(Failure { reason, message });
    match access {
        Access::Off | Access::Unlisted => return None,
        Access::NotInstalled => {
            let sentence = "Gateway API is not installed, so no request comes by the route: install its definitions of the standard channel, and a gateway that implements them";
            return told(reason::GATEWAY_API_MISSING, sentence.to_owned());
        }
        Access::Forbidden => {
            let sentence = "the operator may not read the HTTPRoutes of Gateway API: upgrade its chart, which gives it the right";
            return told(reason::GATEWAY_API_MISSING, sentence.to_owned());
        }
        Access::Listed => {}
    }
    let Some(found) = found else {
        return told(reason::ROUTE_PENDING, format!("HTTPRoute {name} is not there yet"));
    };
    if let Some(why) = &found.unreadable {
        return told(reason::UNREADABLE, format!("HTTPRoute {name} cannot be read: {why}"));
    }
    for gateway in gateways {
        let says = |type_| said(found, gateway, type_);
        let whole = written(gateway);
        match says(ACCEPTED) {
            None => {
                let words = format!(
                    "no gateway has answered for HTTPRoute {name} yet: check that {whole} exists, and that its controller runs"
                );
                return told(reason::ROUTE_PENDING, words);
            }
            Some(accepted) if accepted.status == "False" => {
                let words = format!("{whole} does not accept HTTPRoute {name}: {}", in_words(accepted));
                return told(reason::ROUTE_NOT_ACCEPTED, words);
            }
            Some(_) => {}
        }
        if let Some(resolved) = says(RESOLVED_REFS).filter(|one| is_unresolved && one.status == "False") {
            let words =
                format!("{whole} does not find what HTTPRoute {name} refers to: {}", in_words(resolved));
            return told(reason::ROUTE_NOT_ACCEPTED, words);
        }
    }
    None
}

/// The condition of this Gateway; of several controllers the one that is content.
fn said<'a>(found: &'a CachedRoute, gateway: &GatewayRef, type_: &str) -> Option<&'a RouteCondition> {
    let own = found.metadata.namespace.as_deref();
    let is_it = |parent: &GatewayRef| {
        parent.name == gateway.name
            && parent.section_name == gateway.section_name
            && parent.namespace.as_deref().or(own) == gateway.namespace.as_deref().or(own)
    };
    let parents = found.part.status.parents.iter().filter(|one| one.parent_ref.as_ref().is_some_and(is_it));
    let conditions = parents.flat_map(|one| &one.conditions).filter(|one| one.type_ == type_);
    conditions.max_by_key(|one| one.status != "False")
}

fn written(GatewayRef { name, namespace, section_name }: &GatewayRef) -> String {
    let place = namespace.as_ref().map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
    let listener =
        section_name.as_ref().map_or_else(String::new, |section| format!("listener {section} of "));
    format!("{listener}Gateway {name}{place}")
}

fn in_words(condition: &RouteCondition) -> String {
    let text = format!("{}: {}", condition.reason, condition.message);
    clip(&printable(text.trim_end_matches([':', ' '])), MESSAGE).into_owned()
}
