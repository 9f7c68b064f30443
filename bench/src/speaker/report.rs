//! Rounds of all daemons, and the table of what they came to.

use anyhow::Result;

use super::Options;
use super::daemon::Daemon;
use super::scenario::{Figures, Scenario, round};
use crate::stats::{percentile, sorted};

/// Plays one scenario with every daemon, and prints its table: each figure, and in brackets its
/// ratio to that of whoever is fastest.
pub(super) fn run(scenario: Scenario, daemons: &[Daemon], options: &Options) -> Result<()> {
    let able = |daemon: &&Daemon| !scenario.needs_kernel() || daemon.has_kernel();
    let daemons: Vec<Daemon> = daemons.iter().filter(able).copied().collect();
    let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); daemons.len()];
    for number in 1..=options.rounds {
        for (daemon, rounds) in daemons.iter().zip(&mut rounds) {
            match round(scenario, *daemon, options) {
                Ok(figures) => rounds.push(figures),
                Err(error) => println!("{}, round {number}: {error:#}", daemon.name()),
            }
        }
    }
    let title = clap::ValueEnum::to_possible_value(&scenario);
    let title = title.map(|value| value.get_name().to_owned()).unwrap_or_default();
    println!("\n{title}: {}", scenario.caption(options));
    let mut lines: Vec<(Daemon, Figures)> = Vec::new();
    for (daemon, rounds) in daemons.iter().zip(rounds) {
        if !rounds.is_empty() {
            lines.push((*daemon, medians(&rounds, scenario.columns().len())));
        }
    }
    lines.sort_by(|one, other| f64::total_cmp(&one.1[0], &other.1[0]));
    print!("{:9}", "");
    for column in scenario.columns() {
        print!(" {column:>20}");
    }
    println!();
    let Some((_, fastest)) = lines.first().cloned() else { return Ok(()) };
    for (daemon, figures) in lines {
        print!("{:9}", daemon.name());
        for (figure, best) in figures.iter().zip(&fastest) {
            let ratio = if *best > 0.0 { figure / best } else { f64::NAN };
            print!(" {:>20}", format!("{figure:.3} ({ratio:5.2})"));
        }
        println!();
    }
    Ok(())
}

fn medians(rounds: &[Figures], columns: usize) -> Figures {
    let column = |at: usize| {
        let values = rounds.iter().filter_map(|figures| figures.get(at).copied());
        percentile(&sorted(values.collect()), 50)
    };
    (0..columns).map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_taken_of_each_column() {
        let rounds = [vec![1.0, 30.0], vec![9.0, 10.0], vec![2.0, 20.0]];
        assert_eq!(format!("{:?}", medians(&rounds, 2)), "[2.0, 20.0]");
    }
}
