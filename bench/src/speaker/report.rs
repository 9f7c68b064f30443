//! Rounds of all daemons, and the table of what they came to.

use anyhow::Result;

use super::Options;
use super::daemon::Daemon;
use super::scenario::{Figures, Scenario, bare, round};
use crate::stats::{percentile, sorted};

/// Plays one scenario with every daemon, and prints its table: each figure, and in brackets its
/// ratio to that of whoever is fastest.
pub(super) fn run(scenario: Scenario, daemons: &[Daemon], options: &Options) -> Result<()> {
    let able = |daemon: &&Daemon| !scenario.needs_kernel() || daemon.has_kernel();
    let daemons: Vec<Daemon> = daemons.iter().filter(able).copied().collect();
    let mut names: Vec<&str> = daemons.iter().map(|daemon| daemon.name()).collect();
    let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); daemons.len()];
    if scenario == Scenario::E {
        names.push("bare");
        rounds.push(Vec::new());
    }
    for number in 1..=options.rounds {
        for (at, rounds) in rounds.iter_mut().enumerate() {
            let figures = match daemons.get(at) {
                Some(daemon) => round(scenario, *daemon, options),
                None => bare(scenario, options),
            };
            match figures {
                Ok(figures) => rounds.push(figures),
                Err(error) => println!("{}, round {number}: {error:#}", names[at]),
            }
        }
    }
    let title = clap::ValueEnum::to_possible_value(&scenario);
    let title = title.map(|value| value.get_name().to_owned()).unwrap_or_default();
    println!("\n{title}: {}", scenario.caption(options));
    let mut lines: Vec<(&str, Figures)> = Vec::new();
    for (name, rounds) in names.into_iter().zip(rounds) {
        if !rounds.is_empty() {
            lines.push((name, medians(&rounds, scenario.columns().len())));
        }
    }
    lines.sort_by(|one, other| f64::total_cmp(&one.1[0], &other.1[0]));
    print!("{:9}", "");
    for column in scenario.columns() {
        print!(" {column:>20}");
    }
    println!();
    let Some((_, first)) = lines.first().cloned() else { return Ok(()) };
    for (name, figures) in lines {
        print!("{name:9}");
        for (figure, first) in figures.iter().zip(&first) {
            print!(" {:>20}", cell(*figure, *first));
        }
        println!();
    }
    Ok(())
}

/// A figure, and its ratio to that of the first line, where both are known.
fn cell(figure: f64, first: f64) -> String {
    if figure.is_nan() {
        "-".to_owned()
    } else if first > 0.0 {
        format!("{figure:.3} ({:5.2})", figure / first)
    } else {
        format!("{figure:.3} (    -)")
    }
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
    fn what_is_not_known_has_no_ratio() {
        assert_eq!(cell(1.0, 2.0), "1.000 ( 0.50)");
        assert_eq!(cell(1.0, f64::NAN), "1.000 (    -)");
        assert_eq!(cell(f64::NAN, 1.0), "-");
    }

    #[test]
    fn the_median_is_taken_of_each_column() {
        let rounds = [vec![1.0, 30.0], vec![9.0, 10.0], vec![2.0, 20.0]];
        assert_eq!(format!("{:?}", medians(&rounds, 2)), "[2.0, 20.0]");
    }
}
