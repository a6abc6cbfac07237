//! Tests a driver image on a test bed: sound, interrupts, power, an injected fault, restart.
//!
//! `cargo run --release -p dmus --example my_driver -- my.sys`; without an image it tests the project's own driver.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use dmus::playback::{stream_song, while_streaming};
use dmus::sound::songs::BuiltIn;
use dmus::testbed::{DevicePower, InjectedFault, TestBed, TestBedBuilder};

/// How long the driver may take to reset a card that has lost its session.
const RESET_LIMIT: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let mut builder = TestBed::builder().name("my-driver");
    if let Some(driver) = std::env::args_os().nth(1) {
        builder = builder.driver(PathBuf::from(driver));
    }
    test_driver(builder)?;
    println!("the driver passed");
    Ok(())
}

/// Boots the test bed and tests its driver.
///
/// # Errors
/// What did not hold, or what failed, as [`dmus::testbed::TestBedError`] or [`dmus::playback::PlaybackError`].
pub(crate) fn test_driver(builder: TestBedBuilder<'_>) -> Result<(), Box<dyn Error>> {
    let mut bed = builder.boot()?;
    let song = BuiltIn::by_name("tide").ok_or("there is no built-in song tide")?.song()?;

    // The PCM that the card renders into guest memory is the offline render, bit for bit.
    stream_song(&mut bed, &song)?.expect_passed()?;
    bed.expect_interrupts(1..)?;
    bed.expect_no_diagnosis()?;

    // The card keeps nothing in D3; the driver brings it back.
    bed.set_power(DevicePower::D3)?;
    bed.set_power(DevicePower::D0)?;
    stream_song(&mut bed, &song)?.expect_passed()?;

    // A card that loses its session while it plays is reset by the driver.
    while_streaming(&mut bed, &song, |bed| {
        let session = bed.card_session()?;
        bed.inject_fault(InjectedFault::LoseSession {})?;
        bed.wait_for_new_session(session, RESET_LIMIT)
    })?;
    stream_song(&mut bed, &song)?.expect_passed()?;

    // Stopped and started again, at other addresses and vectors.
    bed.restart_device()?;
    stream_song(&mut bed, &song)?.expect_passed()?;

    // The guest's rules about what an unloaded driver leaves behind.
    bed.shut_down()?;
    Ok(())
}
