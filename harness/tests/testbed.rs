//! The test bed as a library: the example `my_driver`, run as it stands.

#[allow(dead_code, reason = "the example's own `main` is not called")]
#[path = "../examples/my_driver.rs"]
mod my_driver;

use std::error::Error;

use dmus::host::failure::{Class, Diagnosed};
use dmus::testbed::{TestBed, TestBedError};

#[test]
fn tests_the_projects_own_driver_as_the_example_does() -> Result<(), Box<dyn Error>> {
    let tested = my_driver::test_driver(TestBed::builder().name("testbed-example"));
    let missing = |error: &TestBedError| error.class() == Class::MissingArtefact;
    match tested {
        Err(error) if error.downcast_ref().is_some_and(missing) => {
            println!("skipped: {error}");
            Ok(())
        }
        other => other,
    }
}
