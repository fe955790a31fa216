//! Several sentences in one message of a condition. Pure.

use scalableapp_crds::limits::{CONDITION_MESSAGE, clip};

/// Minimum characters of a sentence; sentences without this space are counted.
const SENTENCE: usize = 160;

/// The sentences in one message. If they are too long together, the long ones are cut after a word, and those without
/// space are counted.
#[must_use]
pub fn joined(sentences: &[String]) -> String {
    let whole = sentences.join("; ");
    if whole.chars().count() <= CONDITION_MESSAGE {
        return whole;
    }
    let shown = sentences.len().min(CONDITION_MESSAGE / SENTENCE);
    let others = match sentences.len() - shown {
        0 => String::new(),
        others => format!("; and {others} more"),
    };
    // Two characters separate two sentences.
    let mut room = CONDITION_MESSAGE - others.len() - 2 * shown;
    let mut by_length: Vec<usize> = (0..shown).collect();
    by_length.sort_by_key(|index| sentences[*index].chars().count());
    let mut cut = vec![String::new(); shown];
    for (done, index) in by_length.into_iter().enumerate() {
        cut[index] = clip(&sentences[index], room / (shown - done)).into_owned();
        room -= cut[index].chars().count();
    }
    cut.join("; ") + &others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_told_whole_and_long_sentences_leave_room_for_others() {
        let short = ["web: one".to_owned(), "api: two".to_owned()];
        assert_eq!(joined(&short), "web: one; api: two");
        let long = [format!("web: {}", "word ".repeat(400)), "api: two".to_owned()];
        let message = joined(&long);
        assert!(message.ends_with(" word …; api: two"), "{message}");
        assert!((900..=CONDITION_MESSAGE).contains(&message.chars().count()));
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let many: Vec<String> = (0..40).map(|index| format!("web-{index}: {}", "wörd ".repeat(80))).collect();
        let message = joined(&many);
        assert!(message.ends_with("wörd …; and 34 more"), "{message}");
        assert!((900..=CONDITION_MESSAGE).contains(&message.chars().count()));
        let one = joined(&["x".repeat(3000)]);
        assert_eq!(one.chars().count(), CONDITION_MESSAGE - 2, "a text without a space is cut all the same");
    }
}
