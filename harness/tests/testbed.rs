//! The test bed as a library: the examples `my_driver` and `power`, run as they stand.

#[allow(dead_code, reason = "the example's own `main` is not called")]
#[path = "../examples/my_driver.rs"]
mod my_driver;
#[allow(dead_code, reason = "the example's own `main` is not called")]
#[path = "../examples/power.rs"]
mod power;

use std::error::Error;

use dmus::host::failure::{Class, Diagnosed};
use dmus::testbed::{TestBed, TestBedError};

#[test]
fn tests_the_projects_own_driver_as_the_example_does() -> Result<(), Box<dyn Error>> {
    skip_without_artefacts(my_driver::test_driver(TestBed::builder().name("testbed-example")))
}

#[test]
fn carries_steps_out_as_the_example_does() -> Result<(), Box<dyn Error>> {
    skip_without_artefacts(power::test_power(TestBed::builder().name("steps-example")).map(drop))
}

/// Lets a test pass that failed because a program cannot be had here, and says so.
fn skip_without_artefacts(tested: Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let missing = |error: &TestBedError| error.class() == Class::MissingArtefact;
    match tested {
        Err(error) if error.downcast_ref().is_some_and(missing) => {
            println!("skipped: {error}");
            Ok(())
        }
        other => other,
    }
}
