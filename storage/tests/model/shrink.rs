//! Leaving out steps that a difference doesn't need, as long as there is time.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::Databases;
use crate::step::Step;
use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(60);

/// The fewest steps that were found to differ, as a text to read.
pub(crate) async fn shrink(
    world: &World,
    databases: &dyn Databases,
    steps: &[Step],
    first_found: &str,
) -> String {
    let start = Instant::now();
    let mut steps = steps.to_vec();
    let mut difference = String::new();
    // Most differences come from what happened just before.
    for last in [50, 200, 800] {
        let fewer = &steps[steps.len().saturating_sub(last)..];
        match crate::differ(world, databases.empty(), fewer).await {
            Some((taken, found)) if kind(&found) == kind(first_found) => {
                steps = fewer[..taken].to_vec();
                difference = found;
                break;
            }
            _ => {}
        }
    }
    let mut chunk = steps.len() / 2;
    while chunk > 0 && start.elapsed() < PATIENCE {
        let mut first = 0;
        while first < steps.len() && start.elapsed() < PATIENCE {
            let mut fewer = steps.clone();
            fewer.drain(first..(first + chunk).min(steps.len()));
            match crate::differ(world, databases.empty(), &fewer).await {
                Some((taken, found)) if kind(&found) == kind(first_found) => {
                    fewer.truncate(taken);
                    steps = fewer;
                    difference = found;
                }
                _ => first += chunk,
            }
        }
        chunk /= 2;
    }
    let mut text = format!("{} steps are enough: {difference}\n", steps.len());
    let shown = &steps[steps.len().saturating_sub(100)..];
    for step in shown {
        writeln!(text, "  {step:?}").expect("a string takes all");
    }
    text
}

/// The call that differs.
fn kind(difference: &str) -> Option<&str> {
    difference.split(',').next()
}
