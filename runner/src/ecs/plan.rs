//! What a service's next step is: a pure function of what it shall run and what runs.

/// A task of a service, as far as a step depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: String,
    /// Whether it is of the primary deployment.
    pub(super) is_new: bool,
    /// Whether it runs and answers.
    pub(super) is_healthy: bool,
}

/// What a service shall be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) desired: usize,
    pub(super) minimum_percent: usize,
    pub(super) maximum_percent: usize,
    /// Whether the primary deployment may start tasks.
    pub(super) may_start: bool,
}

/// What to do next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// How many tasks of the primary deployment to start.
    pub(super) start: usize,
    /// Which tasks to end.
    pub(super) stop: Vec<String>,
    /// Which tasks the balancer leads to.
    pub(super) serve: Vec<String>,
    /// Whether the primary deployment is all that there is, and complete.
    pub(super) is_complete: bool,
}

/// Decides: new tasks first, as many as fit; old ones go as new ones are healthy; the balancer
/// leads to new ones only as soon as there are enough of them.
pub(super) fn plan(wish: Wish, tasks: &[Seen]) -> Step {
    let (new, old): (Vec<&Seen>, Vec<&Seen>) = tasks.iter().partition(|task| task.is_new);
    let healthy = |tasks: &[&Seen]| tasks.iter().filter(|task| task.is_healthy).count();
    let (healthy_new, healthy_old) = (healthy(&new), healthy(&old));
    let desired = wish.desired;
    let most = (desired * wish.maximum_percent / 100).max(desired);
    let least = (desired * wish.minimum_percent).div_ceil(100).min(desired);

    let all_fit = most >= 2 * desired;
    let room = most.saturating_sub(tasks.len());
    let missing = desired.saturating_sub(new.len());
    let start = if wish.may_start { missing.min(room) } else { 0 };

    let mut stop = Vec::new();
    // Too many new ones: those that don't answer go first.
    let mut surplus: Vec<&&Seen> = new.iter().collect();
    surplus.sort_by_key(|task| task.is_healthy);
    let too_many = new.len().saturating_sub(desired);
    stop.extend(surplus.iter().take(too_many).map(|task| task.id.clone()));
    if healthy_new >= desired {
        stop.extend(old.iter().map(|task| task.id.clone()));
    } else {
        // Old ones that don't answer are of no use; of the others as many as the minimum allows.
        let spare = (healthy_new + healthy_old).saturating_sub(least);
        // Where all new ones fit beside them, old ones serve until the switch.
        let is_stepwise = wish.may_start && !all_fit;
        let spare = if is_stepwise { spare } else { 0 };
        let answering = old.iter().filter(|task| task.is_healthy).take(spare);
        let silent = old.iter().filter(|task| !task.is_healthy && wish.may_start);
        stop.extend(silent.chain(answering).map(|task| task.id.clone()));
    }

    let only_new = healthy_new >= desired || healthy_old == 0;
    let serve = tasks.iter().filter(|task| {
        let is_wanted = match (only_new, task.is_new) {
            (true, is_new) => is_new,
            (false, is_new) => !is_new || !all_fit,
        };
        task.is_healthy && is_wanted && !stop.contains(&task.id)
    });
    Step {
        start,
        serve: serve.map(|task| task.id.clone()).collect(),
        is_complete: healthy_new >= desired && new.len() == desired && old.is_empty(),
        stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(tasks: &[(&str, bool, bool)]) -> Vec<Seen> {
        let one = |(id, is_new, is_healthy): &(&str, bool, bool)| Seen {
            id: (*id).to_owned(),
            is_new: *is_new,
            is_healthy: *is_healthy,
        };
        tasks.iter().map(one).collect()
    }

    const TWO: Wish = Wish {
        desired: 2,
        minimum_percent: 100,
        maximum_percent: 200,
        may_start: true,
    };

    #[test]
    fn new_tasks_start_before_old_ones_go() {
        let step = plan(TWO, &seen(&[("a", false, true), ("b", false, true)]));
        assert_eq!((step.start, step.stop.len()), (2, 0));
        assert_eq!(step.serve, ["a", "b"]);
        assert!(!step.is_complete);
    }

    #[test]
    fn the_balancer_switches_when_all_new_ones_answer() {
        let mut tasks = seen(&[
            ("a", false, true),
            ("b", false, true),
            ("c", true, true),
            ("d", true, false),
        ]);
        assert_eq!(plan(TWO, &tasks).serve, ["a", "b"]);
        tasks[3].is_healthy = true;
        let step = plan(TWO, &tasks);
        assert_eq!(step.serve, ["c", "d"]);
        assert_eq!(step.stop, ["a", "b"]);
    }

    #[test]
    fn a_service_without_room_goes_one_by_one() {
        let wish = Wish {
            minimum_percent: 50,
            maximum_percent: 100,
            ..TWO
        };
        let step = plan(wish, &seen(&[("a", false, true), ("b", false, true)]));
        assert_eq!((step.start, step.stop), (0, vec!["a".to_owned()]));
        let step = plan(wish, &seen(&[("b", false, true), ("c", true, true)]));
        assert_eq!(step.serve, ["c"]);
        assert_eq!(step.stop, ["b"]);
    }

    #[test]
    fn a_failed_deployment_takes_nothing_away() {
        let wish = Wish {
            may_start: false,
            ..TWO
        };
        let step = plan(wish, &seen(&[("a", false, true), ("b", false, true)]));
        assert_eq!((step.start, step.stop.len()), (0, 0));
        assert_eq!(step.serve, ["a", "b"]);
    }

    #[test]
    fn fewer_are_wanted() {
        let wish = Wish { desired: 1, ..TWO };
        let step = plan(wish, &seen(&[("a", true, false), ("b", true, true)]));
        assert_eq!(step.stop, ["a"]);
        assert_eq!(step.serve, ["b"]);
        let none = Wish { desired: 0, ..TWO };
        let step = plan(none, &seen(&[("b", true, true)]));
        assert_eq!(step.stop, ["b"]);
        assert!(plan(none, &[]).is_complete);
    }
}
