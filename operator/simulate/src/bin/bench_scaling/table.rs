//! The results of the contenders as text, with the assumptions. Pure.

use scalableapp_simulate::app::{OBJECTIVE, PATIENCE, START_VARIATION, WORKERS};
use scalableapp_simulate::autoscaler::{CPU_LAG, CPU_PERIOD, SCRAPE};
use scalableapp_simulate::setting::Contender;
use scalableapp_simulate::workload::{
    DAY_FACTOR, DAY_SHIFT, KNOWN_DAYS, LEAD_IN, MEAN_SERVICE, REPLAYED_DAYS, SERVICE_VARIATION,
};

use crate::tune::{GIVEN_UP, LOCAL, MOST_VIOLATIONS, RANDOM, Tuned, TuningRun};

/// Violation minutes for which the summary has the lowest replica-hours.
const CURVE: [usize; 4] = [0, 1, 2, 4];

/// The model and the rules of the comparison.
pub(crate) fn assumptions() -> String {
    let (ms, window) = (MEAN_SERVICE * 1000.0, CPU_PERIOD);
    let capacity = WORKERS as f64 / MEAN_SERVICE;
    let (tries, half) = (RANDOM + LOCAL, REPLAYED_DAYS / 2);
    format!(
        "Model
- Requests arrive as a Poisson process with the rate of the trace, and are sent to a ready pod at random, as a
  Service does. Every contender gets the same requests.
- A request needs {ms:.0} ms of a worker on average, log-normal with a coefficient of variation of {SERVICE_VARIATION}. A pod
  has {WORKERS} workers, each with a core of its own, so it can do {capacity:.0} requests per second. Requests wait in the pod in the
  order of their arrival, and fail after {PATIENCE} s of waiting.
- A pod is ready some time after its creation, within {:.0} % of the mean that the table names, and costs from its creation
  on: 5 s is a small service that is scheduled at once, 30 s and 60 s are slower ones, and 180 s is one for which a node
  has to be added first. Pods that are not ready go first, then the youngest; a deleted pod answers what it has.
- The objective is a 99th percentile of {:.0} ms. A minute in which more than 1 % of the requests took longer or failed
  is a violation minute.
- Request counters are scraped every {SCRAPE} s for everybody, CPU every {window} s over {window} s and {CPU_LAG} s late. The HPA controller
  and KEDA's HPA decide every 15 s, this operator every 5 s.
- HPA and KEDA decide with the engine's HPA arithmetic, which is compared with Kubernetes' own results in
  operator/engine/tests/hpa_vectors.rs. All have HPA's default scale-up policies and 2 to 100 replicas.
- Day after day, a trace is the curve of a day, which lasts as long as the trace: where that is an hour, load changes 24
  times as fast as in a day of 24 hours, and the same start takes 24 times as much of it. Each day begins with up to
  {:.0} % more or less load, which becomes that of the next day until then, and is up to {DAY_SHIFT} s earlier or later.
  {KNOWN_DAYS} days are only known; the season is learned from the request rates of the days before, when a day begins.
Rules
- The first half of a trace, or the first {half} of the {REPLAYED_DAYS} days after those, is for training, and the other is
  measured. Nothing counts in the {} minutes before, for which a single trace keeps its first rate.
- Everybody may set target, tolerance and scale-down window; those on request rate the window of the rate, KEDA the
  polling interval, a forecast its horizon. {RANDOM} random settings and {LOCAL} near the five best are tried for each: {tries} in
  all. The cheapest without a violation minute in the training part is chosen. One with more than {GIVEN_UP} there is given up.
",
        START_VARIATION * 100.0,
        OBJECTIVE * 1000.0,
        DAY_FACTOR * 100.0,
        LEAD_IN / 60,
    )
}

/// The chosen settings on one workload.
pub(crate) fn workload(name: &str, start: f64, results: &[Tuned]) -> String {
    let mut text = format!(
        "{name}, pods start in {start:.0} s\n{:24}{:>11}{:>10}{:>9}  {}\n{:24}{:>11}{:>10}{:>9}\n",
        "",
        "violation",
        "replica-",
        "pods",
        "setting, chosen by the training part",
        "",
        "minutes",
        "hours",
        "started",
    );
    for Tuned { contender, chosen, .. } in results {
        text += &match chosen {
            Some(run) => format!(
                "{:24}{:11}{:10.2}{:9}  {}\n",
                contender.name(),
                run.test.violations,
                run.test.replica_hours,
                run.started,
                run.setting.describe(*contender)
            ),
            None => format!("{:24}{:>11}  no setting met the objective\n", contender.name(), "N/A"),
        };
    }
    text
}

/// Our engine against each baseline, on one workload.
pub(crate) fn comparison(results: &[Tuned]) -> String {
    let mut text = String::new();
    let ours = results.iter().filter(|one| one.contender.is_ours());
    for ours in ours {
        for theirs in results.iter().filter(|one| one.contender.is_baseline()) {
            text += &against(ours, theirs);
        }
    }
    text
}

fn against(ours: &Tuned, theirs: &Tuned) -> String {
    let heading = format!("{} against {}", ours.contender.name(), theirs.contender.name());
    let chosen = match (&ours.chosen, &theirs.chosen) {
        (Some(ours), Some(theirs)) => {
            format!(
                "{}, violation minutes {} against {}",
                fewer(ours, theirs),
                ours.test.violations,
                theirs.test.violations
            )
        }
        _ => "not comparable".to_owned(),
    };
    let compared: Vec<f64> = (0..=MOST_VIOLATIONS)
        .filter_map(|violations| {
            Some(1.0 - ours.hours_within(violations)? / theirs.hours_within(violations)?)
        })
        .collect();
    let (least, most) = compared.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), saved| {
        (least.min(*saved), most.max(*saved))
    });
    let curve = if compared.is_empty() {
        "curves that do not overlap".to_owned()
    } else {
        format!("along the curves {:.1} to {:.1} % fewer", least * 100.0, most * 100.0)
    };
    format!("{heading:46}{chosen}; {curve}\n")
}

fn fewer(ours: &TuningRun, theirs: &TuningRun) -> String {
    let saved = 1.0 - ours.test.replica_hours / theirs.test.replica_hours;
    let word = if saved < 0.0 { "more" } else { "fewer" };
    format!("{:5.1} % {word} replica-hours", saved.abs() * 100.0)
}

/// The cost of each contender over all traces: of the setting chosen by training, and of the best setting on its
/// trade-off curve over the measured part with as many violation minutes.
pub(crate) fn summary(name: &str, start: f64, results: &[&[Tuned]]) -> String {
    let mut text = format!("{name}, pods start in {start:.0} s\n{:24}{:>24}", "", "chosen by training:");
    text += "     fewest replica-hours with at most so many\n";
    text += &format!("{:24}{:>12}{:>12}", "", "violation", "replica-");
    text += &format!("     violation minutes in each trace\n{:24}{:>12}{:>12}", "", "minutes", "hours");
    text += &CURVE.map(|count| format!("{count:9}")).concat();
    text.push('\n');
    let sum = |contender: Contender, of: &dyn Fn(&Tuned) -> Option<f64>| -> Option<f64> {
        results.iter().map(|tuned| of(tuned.iter().find(|one| one.contender == contender)?)).sum()
    };
    let cell = |value: Option<f64>, width: usize, digits: usize| match value {
        Some(value) => format!("{value:width$.digits$}"),
        None => format!("{:>width$}", "N/A"),
    };
    let is_known = |one: &Contender| results.iter().all(|tuned| tuned.iter().any(|it| it.contender == *one));
    for contender in Contender::ALL.into_iter().filter(is_known) {
        let chosen = |of: fn(&TuningRun) -> f64| sum(contender, &|one: &Tuned| one.chosen.as_ref().map(of));
        text += &format!("{:24}", contender.name());
        text += &cell(chosen(|run| run.test.violations as f64), 12, 0);
        text += &cell(chosen(|run| run.test.replica_hours), 12, 2);
        text +=
            &CURVE.map(|count| cell(sum(contender, &|one: &Tuned| one.hours_within(count)), 9, 2)).concat();
        text.push('\n');
    }
    text
}
