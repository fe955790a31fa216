//! Combines the proposals of several metrics: the largest wins, and a missing metric forbids scale-in. Pure.

/// The combined proposals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Combined {
    /// Proposed replicas; `None` where a missing metric forbids them.
    pub replicas: Option<i32>,
    /// The largest valid proposal, whether or not it may be acted on; `None` without a valid one.
    pub largest: Option<i32>,
    /// Number of metrics that could not be evaluated.
    pub invalid: usize,
}

/// Takes the largest proposal; an element is `None` where the metric could not be evaluated.
///
/// As in HPA, one missing metric forbids fewer than `current_replicas`, and there is no proposal if all are missing.
pub fn combine(current_replicas: i32, proposals: impl IntoIterator<Item = Option<i32>>) -> Combined {
    let mut largest = None;
    let mut invalid = 0;
    for proposal in proposals {
        match proposal {
            None => invalid += 1,
            // A proposal of 0 is replaced by any later one, even a negative one: HPA starts from 0.
            Some(replicas) => {
                let best = largest.unwrap_or(0);
                largest = Some(if best == 0 || replicas > best { replicas } else { best });
            }
        }
    }
    let replicas = largest.filter(|best| invalid == 0 || *best >= current_replicas);
    Combined { replicas, largest, invalid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_proposal_wins() {
        assert_eq!(combine(4, [Some(3), Some(7), Some(5)]).replicas, Some(7));
    }

    #[test]
    fn an_invalid_metric_forbids_scale_in_but_not_scale_out() {
        assert_eq!(combine(4, [Some(3), None]).replicas, None);
        assert_eq!(combine(4, [Some(4), None]).replicas, Some(4));
        assert_eq!(combine(4, [Some(9), None]).replicas, Some(9));
    }

    #[test]
    fn without_a_valid_metric_nothing_is_asked_for() {
        assert_eq!(combine(4, [None, None]), Combined { replicas: None, largest: None, invalid: 2 });
    }
}
