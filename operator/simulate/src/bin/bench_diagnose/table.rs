//! The table of a set, as text. Pure.

use std::fmt::Write;
use std::path::Path;

use crate::answer::{Answer, Answers, Rule};
use crate::read::Truth;
use crate::score::{Scores, Share};

pub(crate) const LEGEND: &str = "\
told      right when it is known that there is an incident: the node, or for faults in the code NotAScalingProblem
top-1, 3  the node among the first, when told; faults in the code are left out
cause     the cause is right, when told
code      faults in the code that are called NotAScalingProblem, when told
unknown   verdicts of Unknown, when told
answered  incidents that are answered without being told; right: right among these
healthy   silence on healthy incidents; normal: on windows of normal operation, each judged against the others
";

type Column = (&'static str, fn(&Scores) -> Share);

const COLUMNS: [Column; 10] = [
    ("told", |scores| scores.told),
    ("top-1", |scores| scores.first),
    ("top-3", |scores| scores.first_three),
    ("cause", |scores| scores.cause),
    ("code", |scores| scores.code),
    ("unknown", |scores| scores.unknown),
    ("answered", |scores| scores.answered),
    ("right", |scores| scores.right),
    ("healthy", |scores| scores.silent),
    ("normal", |scores| scores.normal_silent),
];

/// The scores of a set.
pub(crate) fn set(set: &Path, scores: &[(Rule, Scores)]) -> String {
    let name = set.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut text = format!("{name:24}");
    for (name, _) in COLUMNS {
        let _ = write!(text, "{name:>13}");
    }
    text.push('\n');
    for (contender, scores) in scores {
        let _ = write!(text, "{:24}", contender.name());
        for (_, of) in COLUMNS {
            let _ = write!(text, "{:>13}", share(of(scores)));
        }
        text.push('\n');
    }
    if let Some((_, ours)) = scores.iter().find(|(contender, _)| *contender == Rule::Ours) {
        text += "true cause, and what was answered\n";
        for (cause, answers) in &ours.confusion {
            let answers: Vec<String> =
                answers.iter().map(|(name, count)| format!("{name} {count}")).collect();
            let _ = writeln!(text, "  {cause:24}{}", answers.join(", "));
        }
    }
    text
}

fn share(Share { hits, of }: Share) -> String {
    if of == 0 { "-".to_owned() } else { format!("{:.0}% {hits}/{of}", 100.0 * hits as f64 / of as f64) }
}

/// The answers to one incident.
pub(crate) fn line(folder: &Path, answers: &Answers, truth: &Truth) -> String {
    let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let said = |answer: &Answer| {
        let nodes: Vec<&str> = answer.ranking.iter().take(3).map(String::as_str).collect();
        format!("{} {}", answer.cause.name, nodes.join(" "))
    };
    let told = answers.told.as_ref().map_or_else(String::new, said);
    let cause = truth.cause.as_deref().unwrap_or("not told");
    let node = truth.node.as_deref().unwrap_or("-");
    format!("{name}: true {cause} {node}; told {told}; alarm {}", said(&answers.alarm))
}
