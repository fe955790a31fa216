//! The tables, as text. Pure.

use crate::course::End;
use crate::figures::{Counted, Figure, Goal};
use crate::peeking::LOOKS;
use crate::thresholds::RULES;

/// A share of the rollouts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Proportion {
    pub(crate) hits: u32,
    pub(crate) of: u32,
}

impl Proportion {
    pub(crate) fn of(hits: impl Iterator<Item = bool>) -> Self {
        hits.fold(Self::default(), |share, hit| Self { hits: share.hits + u32::from(hit), of: share.of + 1 })
    }

    pub(crate) fn value(self) -> f64 {
        f64::from(self.hits) / f64::from(self.of.max(1))
    }

    /// 95 % confidence interval by Wilson (1927), in percent.
    fn interval(self) -> (f64, f64) {
        let (n, p, z) = (f64::from(self.of.max(1)), self.value(), 1.96_f64);
        let center = p + z * z / (2.0 * n);
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        let of = |value: f64| (100.0 * value / (1.0 + z * z / n)).clamp(0.0, 100.0);
        (of(center - half), of(center + half))
    }
}

pub(crate) fn head() -> String {
    let mut text = format!("{:20}{:>7} {:18}{:>25}", "canary", "req/s", "errors", "counted");
    text += &format!("{:>7}{:>8} {:13}{:>8}{:>7}  ", "goal", "judge", "(95 %)", "median", "bad");
    for rule in RULES {
        text += &format!("{:>11}", rule.name);
    }
    text
}

/// A row: the judge with its interval, the median second and the mean of bad canary requests, then the rules.
pub(crate) fn row(figure: &Figure, ends: &[(End, [End; RULES.len()])]) -> (String, bool) {
    let Figure { title, scenario, counted, goal, .. } = figure;
    let holds = |end: &End| counted.holds(scenario, end);
    let ours = Proportion::of(ends.iter().map(|(end, _)| holds(end)));
    let (low, high) = ours.interval();
    let mut seconds: Vec<u32> = ends
        .iter()
        .filter(|(end, _)| holds(end))
        .filter_map(|(end, _)| end.aborted.or(end.promoted))
        .collect();
    seconds.sort_unstable();
    let median = seconds.get(seconds.len() / 2).map_or("-".to_owned(), |median| format!("{median} s"));
    let bad = ends.iter().map(|(end, _)| end.bad as f64).sum::<f64>() / ends.len().max(1) as f64;
    let is_met = goal.is_none_or(|goal| goal.is_met(ours.value()));
    let goal = match goal {
        None => "-".to_owned(),
        Some(Goal::AtMost(most)) => format!("<={:.0}%", 100.0 * most),
        Some(Goal::AtLeast(least)) => format!(">={:.0}%", 100.0 * least),
    };
    let mut text = format!(
        "{title:20}{:>7} {:18}{:>25}{goal:>7}{:>7.1}% {:13}{median:>8}{bad:>7.0}{} ",
        scenario.requests_per_second,
        scenario.clustering.name(),
        counted.words(),
        100.0 * ours.value(),
        format!("({low:.1}..{high:.1})"),
        if is_met { " " } else { "!" },
    );
    for at in 0..RULES.len() {
        let share = Proportion::of(ends.iter().map(|(_, rules)| holds(&rules[at])));
        // Rules with a threshold count no requests.
        let is_told = !matches!(counted, Counted::PromotedWith(_));
        text += &if is_told { format!("{:>10.1}%", 100.0 * share.value()) } else { format!("{:>11}", "-") };
    }
    (text, is_met)
}

/// How often two equal revisions are told apart, by the number of looks.
pub(crate) fn peeking(shares: &[(Proportion, Proportion); LOOKS.len()]) -> String {
    let mut text = format!("{:34}", "looks");
    LOOKS.iter().for_each(|looks| text += &format!("{looks:>18}"));
    for (name, of) in [
        ("z-test at 5 %", (|pair| pair.0) as fn(&(Proportion, Proportion)) -> Proportion),
        ("judge, false_abort 5 %", |pair| pair.1),
    ] {
        text += &format!("\n{name:34}");
        for share in shares.iter().map(of) {
            let (low, high) = share.interval();
            text += &format!("{:>18}", format!("{:.1}% ({low:.1}..{high:.1})", 100.0 * share.value()));
        }
    }
    text
}
