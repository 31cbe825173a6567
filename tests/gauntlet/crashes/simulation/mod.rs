//! Row 12: pushes, deletes, mounts, collections, crashes and a clock that goes on, one after the other
//! in an order that a seed gives, beside a model of what has to be there.
//!
//! All steps are drawn before the first one is made, and one thread makes them, so that the same seed
//! gives the same run: `WHARF_GAUNTLET_SEED=… cargo test gauntlet::simulation`. What a server that is
//! killed had done of the last request is the only thing that may differ.

mod driver;
mod model;

use self::driver::{Driver, Tally};
use self::model::{BLOBS, IMAGES, REPOSITORIES, TAGS};
use super::dice::{self, Dice, Seed};
use super::{Form, row};

/// How many steps a run has.
const STEPS: usize = 120;

/// What is done to one registry.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// A blob is pushed, in so many chunks.
    Push(usize, usize, usize),
    /// An image is pushed as clients do it: blobs that are missing, then the manifest under a tag.
    PushImage(usize, usize, usize),
    DeleteImage(usize, usize),
    DeleteTag(usize, usize),
    DeleteBlob(usize, usize),
    /// A blob is mounted from one repository in another.
    Mount(usize, usize, usize),
    /// The clock goes on by so many seconds.
    Later(i64),
    /// Collection runs beside the server.
    Collect,
    /// The server is killed, and collection runs before it starts again.
    CollectAlone,
    /// The server is killed.
    Kill,
    /// The server gets so many thousandths of a request, and is killed so many microseconds later.
    Torn(Torn, usize, u64),
}

/// A request that is not answered.
#[derive(Clone, Debug, PartialEq)]
enum Torn {
    Push(usize, usize),
    PushImage(usize, usize, usize),
    DeleteImage(usize, usize),
    Mount(usize, usize, usize),
}

fn step(dice: &mut Dice) -> Step {
    let (one, other) = (dice.below(REPOSITORIES), dice.below(REPOSITORIES));
    let (blob, image, tag) = (dice.below(BLOBS), dice.below(IMAGES), dice.below(TAGS));
    match dice.below(40) {
        0..=3 => Step::Push(one, blob, 1),
        4..=5 => Step::Push(one, blob, 3),
        6..=13 => Step::PushImage(one, image, tag),
        14..=16 => Step::DeleteImage(one, image),
        17 => Step::DeleteTag(one, tag),
        18 => Step::DeleteBlob(one, blob),
        19..=22 => Step::Mount(one, other, blob),
        23..=26 => Step::Later(*dice.of(&[20, 45, 70, 130])),
        27..=30 => Step::Collect,
        31 => Step::CollectAlone,
        32 => Step::Kill,
        _ => {
            let torn = match dice.below(8) {
                0..=2 => Torn::Push(one, blob),
                3..=5 => Torn::PushImage(one, image, tag),
                6 => Torn::DeleteImage(one, image),
                _ => Torn::Mount(one, other, blob),
            };
            // Half of these get the whole request.
            let part = (dice.below(2000)).min(1000);
            Step::Torn(torn, part, dice.below(4000) as u64)
        }
    }
}

fn steps(dice: &mut Dice) -> Vec<Step> {
    (0..STEPS).map(|_| step(dice)).collect()
}

#[test]
fn what_was_acknowledged_is_there_in_every_order() {
    let mut seed = Seed::of_this_run();
    let runs = if dice::given().is_some() {
        1
    } else {
        Form::pick(2, 12)
    };
    let first = seed.number();
    let mut tally = Tally::default();
    for _ in 0..runs {
        let mut dice = seed.dice(0);
        let mut driver = Driver::start(&mut dice);
        let steps = steps(&mut dice);
        for (number, step) in steps.iter().enumerate() {
            driver.announce(number, step);
            driver.make(step);
        }
        tally.add(driver.end());
        seed = seed.following();
    }
    let Tally {
        requests,
        looks,
        kills,
        collections,
    } = tally;
    let figure = format!(
        "{runs} seeds from {first}, {} steps: {requests} requests, {kills} kills, {collections} \
         collections, {looks} comparisons without a difference, nothing left behind",
        runs * STEPS
    );
    row(12, "", &figure);
}

#[test]
fn a_seed_gives_the_same_steps_again() {
    let seed = Seed::of_this_run();
    let draw = |seed: &Seed| steps(&mut seed.dice(0));
    assert_eq!(draw(&seed), draw(&seed));
    assert_ne!(draw(&seed), draw(&seed.following()));
}
