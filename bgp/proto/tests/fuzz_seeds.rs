//! The fuzz targets without a fuzzer: every seed, and mutations of it, through their functions.
//! Short on purpose; `fuzz/README.md` says how to search for longer.

#![allow(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::cell::Cell;
use std::fs;
use std::path::Path;

#[allow(
    unreachable_pub,
    clippy::panic,
    reason = "the library of another workspace, where these rules do not hold"
)]
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

/// Mutations of each seed.
const MUTATIONS: usize = 2_000;

/// xorshift, so that a failure comes again.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % end.max(1)
    }

    fn octet(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// A few octets changed, put in, or taken out, or another seed put behind.
    fn mutate(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut input = seed.to_vec();
        for _ in 0..=self.below(6) {
            let (at, octet) = (self.below(input.len()), self.octet());
            match self.below(5) {
                0 | 1 if !input.is_empty() => input[at] = octet,
                2 => input.insert(at, octet),
                3 if !input.is_empty() => drop(input.remove(at)),
                _ => input.extend_from_slice(&other[self.below(other.len())..]),
            }
        }
        input
    }
}

fn run(name: &str, target: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(seeds.len() > 5, "{} seeds of {name}", seeds.len());
    let mut random = Random(0x7517);
    for (seed, path) in seeds.iter().zip(&files) {
        target(seed);
        for _ in 0..MUTATIONS {
            let other = &seeds[random.below(seeds.len())];
            let input = random.mutate(seed, other);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&input)));
            assert!(outcome.is_ok(), "a mutation of {}: {input:02x?}", path.display());
        }
    }
}

#[test]
fn frame() {
    run("frame", targets::frame);
}

#[test]
fn open() {
    run("open", targets::open);
}

#[test]
fn notification() {
    run("notification", targets::notification);
}

#[test]
fn keepalive() {
    run("keepalive", targets::keepalive);
}

#[test]
fn refresh() {
    run("refresh", targets::refresh);
}

#[test]
fn attributes() {
    run("attributes", targets::attributes);
}

/// Every target has its seeds, and every folder of seeds its target and its test here.
#[test]
fn targets_and_seeds_go_together() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(fuzz.join(folder)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let targets = names("fuzz_targets");
    assert_eq!(targets, names("seeds"));
    let here = include_str!("fuzz_seeds.rs");
    for target in targets {
        assert!(here.contains(&format!("run(\"{target}\"")), "no test here runs {target}");
    }
}

#[test]
fn update() {
    run("update", targets::update);
}

#[test]
fn session() {
    let (programs, ups) = (Cell::new(0), Cell::new(0));
    run("session", |input| {
        programs.set(programs.get() + 1);
        ups.set(ups.get() + targets::session(input));
    });
    let (programs, ups) = (programs.get(), ups.get());
    assert!(ups > programs / 4, "{ups} sessions in {programs} programs: they end too early");
}
