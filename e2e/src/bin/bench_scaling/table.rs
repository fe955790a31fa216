//! What the contenders achieved, as text, with the assumptions that it rests on. Pure.

use crate::app::{OBJECTIVE, PATIENCE, START_VARIATION, WORKERS};
use crate::autoscaler::{CPU_LAG, CPU_PERIOD, SCRAPE};
use crate::setting::Contender;
use crate::tune::{LOCAL, RANDOM, Run, Tuned};
use crate::workload::{LEAD_IN, MEAN_SERVICE, SERVICE_VARIATION};

/// Violation minutes up to which the curves are compared.
pub(crate) const MOST_VIOLATIONS: usize = 8;

/// The model and the rules of the comparison.
pub(crate) fn assumptions() -> String {
    let (ms, window) = (MEAN_SERVICE * 1000.0, CPU_PERIOD);
    let capacity = WORKERS as f64 / MEAN_SERVICE;
    let tries = RANDOM + LOCAL;
    format!(
        "Model
- Requests arrive as a Poisson process with the rate of the trace, and are sent to a ready pod at random, as a
  Service does. Every contender gets the same requests.
- A request needs {ms:.0} ms of a worker on average, log-normal with a coefficient of variation of {SERVICE_VARIATION}. A pod
  has {WORKERS} workers, each with a core of its own, so it can do {capacity:.0} requests per second. Requests wait in the pod in the
  order of their arrival, and fail after {PATIENCE} s of waiting.
- A pod is ready some time after its creation, within {:.0} % of the mean that the table names, and costs from its creation
  on. Pods that are not ready go first, then the youngest; a deleted pod answers what it has.
- The objective is a 99th percentile of {:.0} ms. A minute in which more than 1 % of the requests took longer or failed
  is a violation minute.
- Request counters are scraped every {SCRAPE} s for everybody, CPU every {window} s over {window} s and {CPU_LAG} s late. The HPA controller
  and KEDA's HPA decide every 15 s, this operator every 5 s.
- HPA and KEDA decide with the engine's HPA arithmetic, which is compared with Kubernetes' own results in
  operator/engine/tests/hpa_vectors.rs. All have HPA's default scale-up policies and 2 to 100 replicas.
Rules
- The first half of a trace is for training and the second half is measured. Before it the first rate of the trace holds
  for {} minutes, in which nothing counts.
- Everybody may set target, tolerance and scale-down window; those on request rate the window of the rate, KEDA the
  polling interval, the forecast its horizon. {RANDOM} random settings and {LOCAL} near the best are tried for each: {tries} in all.
  The cheapest without a violation minute in the training part is chosen.
",
        START_VARIATION * 100.0,
        OBJECTIVE * 1000.0,
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

fn fewer(ours: &Run, theirs: &Run) -> String {
    let saved = 1.0 - ours.test.replica_hours / theirs.test.replica_hours;
    format!("{:5.1} % fewer replica-hours", saved * 100.0)
}

/// What our engine with a forecast saves against the cheapest baseline with no more violation minutes, over all traces.
pub(crate) fn summary(start: f64, results: &[&[Tuned]]) -> String {
    let mut text =
        format!("all traces, pods start in {start:.0} s\n{:24}{:>11}{:>10}\n", "", "violation", "replica-");
    text += &format!("{:24}{:>11}{:>10}\n", "", "minutes", "hours");
    for (index, contender) in Contender::ALL.into_iter().enumerate() {
        let runs: Option<Vec<&Run>> = results.iter().map(|tuned| tuned[index].chosen.as_ref()).collect();
        text += &match runs {
            Some(runs) => {
                let violations: usize = runs.iter().map(|run| run.test.violations).sum();
                let hours: f64 = runs.iter().map(|run| run.test.replica_hours).sum();
                format!("{:24}{violations:11}{hours:10.2}\n", contender.name())
            }
            None => format!("{:24}{:>11}\n", contender.name(), "N/A"),
        };
    }
    text
}
