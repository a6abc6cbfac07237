//! A driver team's test in Rust: steps, as scenario files have them, on a test bed of the test's own.
//!
//! `cargo run -p dmus --example power -- [MY.SYS]`

use std::error::Error;

use dmus::steps::{Plan, StepsTest, StepsVerdict, carry_out};
use dmus::testbed::{TestBed, TestBedBuilder};

/// What the driver must do.
const STEPS: &str = r#"
title = "Plays as before after each power state, and leaks nothing"

[[step]]
save = { value = "guest.pool_bytes", as = "idle" }

[[step]]
power = "d3"

[[step]]
power = "d0"

[[step]]
open = { as = "music" }

[[step]]
play = { song = "siren", to_ms = 2000 }

[[step]]
expect = { bit_identical = true, no_diagnosis = true, no_findings = true }

[[step]]
close = "music"

[[step]]
expect = { value = "guest.pool_bytes", since = "idle", equals = 0 }
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let mut builder = TestBed::builder().name("power");
    if let Some(driver) = std::env::args_os().nth(1) {
        builder = builder.driver(driver);
    }
    for step in test_power(builder)?.steps {
        println!("{:>3} {:<8} {:8.1} ms  {}", step.number, step.verb, step.milliseconds, step.detail);
    }
    println!("the driver passed");
    Ok(())
}

/// Starts the test bed, carries the steps out, and shuts it down.
///
/// # Errors
/// What did not hold, or what failed, as [`dmus::playback::PlaybackError`] or [`dmus::testbed::TestBedError`].
pub(crate) fn test_power(builder: TestBedBuilder<'_>) -> Result<StepsVerdict, Box<dyn Error>> {
    let plan = Plan::parse("power.toml", STEPS)?;
    let mut bed = builder.start()?;
    Ok(carry_out(&mut bed, &StepsTest::of(&plan)?)?.expect_passed()?)
}
