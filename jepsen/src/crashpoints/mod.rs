//! `crashpoints`: each point of the product's code at which a crash could leave something half done, one after the
//! other. A node is brought there, ends, and is started again; then everything that was acknowledged must be there,
//! once, on every node.

mod approach;
mod crash;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use openshell_chaos::Point;

use crate::scoreboard::{self, Measured};

/// No round takes longer, whatever hangs.
const ROUND_LIMIT: Duration = Duration::from_secs(300);

/// Which points, and how often.
#[derive(Clone, Debug, Args)]
pub(crate) struct CrashpointsArguments {
    /// Only this point, such as `append.after_sync`.
    #[arg(long, value_name = "NAME", value_parser = point)]
    point: Option<Point>,
    /// Rounds with each point; in some of them the leader falls, in some a follower.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// A folder for the scoreboard's figures.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

fn point(name: &str) -> Result<Point, String> {
    Point::named(name).ok_or_else(|| format!("there are {}", Point::ALL.map(Point::name).join(", ")))
}

/// Runs them; true when every round passed.
///
/// # Errors
/// When the figures cannot be written.
pub(crate) async fn run(arguments: &CrashpointsArguments) -> anyhow::Result<bool> {
    let points = arguments.point.map_or_else(|| Point::ALL.to_vec(), |only| vec![only]);
    let (mut rounds, mut failed) = (0, 0);
    for round in 0..arguments.rounds {
        for point in &points {
            let begin = Instant::now();
            let outcome = tokio::time::timeout(ROUND_LIMIT, crash::crash(*point, round)).await;
            let outcome = outcome.context("it took too long").and_then(|outcome| outcome);
            let seconds = begin.elapsed().as_secs_f64();
            rounds += 1;
            match outcome {
                Ok(()) => crate::report::say(&format!("{}: passed in {seconds:.1} s", point.name())),
                Err(error) => {
                    failed += 1;
                    crate::report::say(&format!("{}: FAILED after {seconds:.1} s: {error:#}", point.name()));
                }
            }
        }
    }
    crate::report::say(&format!("crash points: {rounds} rounds, {failed} failed"));
    if let Some(folder) = &arguments.out {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        scoreboard::append(folder, &[figure(&points, rounds, failed)])?;
    }
    Ok(failed == 0)
}

/// What the scoreboard is told of rounds that these points had in equal parts. It is told which, since many of one prove
/// nothing about another.
fn figure(points: &[Point], rounds: u64, failed: u32) -> Measured {
    Measured {
        row: "6.failed".to_owned(),
        value: Some(f64::from(failed)),
        unit: "rounds".to_owned(),
        samples: rounds,
        passed: failed == 0,
        subjects: points.iter().map(|point| point.name().to_owned()).collect(),
        ..Measured::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_names_the_points_that_had_the_rounds() {
        let one = figure(&[Point::AppendAfterSync], 660, 0);
        assert_eq!((one.samples, one.passed, one.subjects), (660, true, vec!["append.after_sync".to_owned()]));
        let all = figure(&Point::ALL, 66, 2);
        assert_eq!((all.value, all.passed, all.subjects.len()), (Some(2.0), false, Point::ALL.len()));
    }
}
