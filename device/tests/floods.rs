//! Work without end from a driver: the card answers others meanwhile.

use std::time::{Duration, Instant};

use card_spec::control::Status;
use card_spec::queue::Queue;
use dmus_card::clock::Mode;
use dmus_card::fake::{Board, Driver, Machine, STREAM_RENDER};

#[test]
fn measure() {
    let mut driver = Driver::new(Machine::with_card(Mode::Lockstep));
    assert_eq!(driver.open().status, Status::OK);
    let mut wish = dmus_card::fake::no_wish();
    wish.valid = 3.into();
    wish.voices = 1000.into();
    wish.channel_groups = 64.into();
    driver.parameters(wish);
    driver.play(48_000);
    let events: Vec<(i64, u16, Vec<u8>)> = (0..160u32).map(|i| (0, 1, vec![0x90, (i % 128) as u8, 100])).collect();
    for _ in 0..400 {
        let refs: Vec<(i64, u16, &[u8])> = events.iter().map(|(a, b, c)| (*a, *b, c.as_slice())).collect();
        driver.send(STREAM_RENDER, &refs);
    }
    let begun = Instant::now();
    driver.record(64);
    eprintln!("{:?} for 64000 notes", begun.elapsed());
    let _ = (Queue::WAVE, Duration::ZERO);
}
