//! The e-process agrees with the PyPI package `ville`; `write_ville.py` wrote its values.

use scalableapp_engine::rollout::judge::eprocess::{Alternatives, EProcess, Starts};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    bernoulli: Vec<Events>,
    starts: Events,
    products: Slices,
}

#[derive(Deserialize)]
struct Events {
    share: f64,
    mixture: Vec<(f64, f64)>,
    of_canary: Vec<u8>,
    ln_e: Vec<f64>,
    stops: Option<usize>,
    every: Option<u32>,
}

#[derive(Deserialize)]
struct Slices {
    bound: f64,
    mixture: Vec<(f64, f64)>,
    slices: Vec<(f64, f64, f64, f64)>,
    ln_e: Vec<f64>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("ville.json")).unwrap()
}

fn assert_same(ours: f64, ville: f64) {
    assert!((ours - ville).abs() <= 1e-9, "{ours} is not {ville}");
}

/// The logarithm of the evidence after each bad request.
fn events(events: &Events, starts: Starts) -> Vec<f64> {
    let mut process = EProcess::new(1.0, Alternatives::of(&events.mixture), starts, 1.0);
    let after = events.of_canary.iter().map(|of_canary| {
        let canary = f64::from(*of_canary);
        process.push((1000.0 * events.share, canary), (1000.0 * (1.0 - events.share), 1.0 - canary));
        process.ln()
    });
    after.collect()
}

#[test]
fn a_beta_mixture_is_that_of_bernoulli_test() {
    for case in fixture().bernoulli {
        let ours = events(&case, Starts::First);
        ours.iter().zip(&case.ln_e).for_each(|(ours, ville)| assert_same(*ours, *ville));
        let stops = ours.iter().position(|ln| *ln >= 100.0_f64.ln()).map(|at| at + 1);
        assert_eq!(stops, case.stops);
    }
}

#[test]
fn a_mixture_over_starts_is_the_mean_of_tests_that_start_later() {
    let case = fixture().starts;
    let ours = events(&case, Starts::Every(case.every.unwrap()));
    assert_eq!(ours.len(), case.ln_e.len());
    ours.iter().zip(&case.ln_e).for_each(|(ours, ville)| assert_same(*ours, *ville));
}

#[test]
fn slices_with_shares_that_vary_are_products_of_single_requests() {
    let case = fixture().products;
    let mut process = EProcess::new(case.bound, Alternatives::of(&case.mixture), Starts::First, 1.0);
    for ((canary, canary_bad, stable, bad), ville) in case.slices.into_iter().zip(case.ln_e) {
        process.push((canary, canary_bad), (stable, bad));
        assert_same(process.ln(), ville);
    }
}
