//! Settings to try: random, or close to another. Pure.

use fastrand::Rng;
use scalableapp_simulate::setting::Setting;

const TARGETS: (f64, f64) = (0.35, 0.95);
const TOLERANCES: (f64, f64) = (0.0, 0.1);
const SCALE_DOWN_WINDOWS: [i32; 6] = [0, 30, 60, 120, 180, 300];
const RATE_WINDOWS: [i64; 4] = [20, 30, 60, 120];
const POLLS: [usize; 4] = [5, 10, 15, 30];
const HORIZONS: (f64, f64) = (30.0, 300.0);

/// A random setting.
pub(crate) fn random(rng: &mut Rng) -> Setting {
    Setting {
        target: between(rng, TARGETS),
        tolerance: between(rng, TOLERANCES),
        scale_down_window: one_of(rng, &SCALE_DOWN_WINDOWS),
        rate_window: one_of(rng, &RATE_WINDOWS),
        poll: one_of(rng, &POLLS),
        horizon: between(rng, HORIZONS) as i64,
    }
}

/// A setting close to this one: numbers change a little, and one of the choices is drawn again.
pub(crate) fn near(mut setting: Setting, rng: &mut Rng) -> Setting {
    let near = |value: f64, range: (f64, f64), rng: &mut Rng| {
        let reach = (range.1 - range.0) * 0.1;
        (value + between(rng, (-reach, reach))).clamp(range.0, range.1)
    };
    setting.target = near(setting.target, (TARGETS.0, TARGETS.1), rng);
    setting.tolerance = near(setting.tolerance, TOLERANCES, rng);
    setting.horizon = near(setting.horizon as f64, HORIZONS, rng) as i64;
    match rng.u32(0..4) {
        0 => setting.scale_down_window = one_of(rng, &SCALE_DOWN_WINDOWS),
        1 => setting.rate_window = one_of(rng, &RATE_WINDOWS),
        2 => setting.poll = one_of(rng, &POLLS),
        _ => {}
    }
    setting
}

fn between(rng: &mut Rng, range: (f64, f64)) -> f64 {
    range.0 + rng.f64() * (range.1 - range.0)
}

fn one_of<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}
