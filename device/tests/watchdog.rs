//! A card's thread that stalls is reported, in the log and in the answers to commands.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use card_control::Clock;
use dls_synth::Bank;
use dmus_card::card::engine::{Engine, NoAnswer, STALL};
use dmus_card::options::Options;
use log::{Log, Metadata, Record};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        LINES.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

#[test]
fn reports_a_stalled_thread_once_with_its_task() {
    log::set_logger(&Lines).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let options = Options { clock: Clock::Lockstep, voices: 10, render_block: 256 };
    let engine = Engine::start(options, Bank::builtin(), None).unwrap();
    let reported = || LINES.lock().unwrap().iter().filter(|line| line.contains("executing a command")).count();
    engine.link().with_card(|_| ()).unwrap();
    std::thread::sleep(STALL);
    assert_eq!(reported(), 0, "a thread that waits does not stall");
    engine.link().with_card(|_| std::thread::sleep(3 * STALL)).unwrap();
    assert_eq!(reported(), 1, "{:?}", LINES.lock().unwrap());
    let link = engine.link().clone();
    let stalls = std::thread::spawn(move || link.with_card(|_| std::thread::sleep(Duration::from_secs(8))));
    let begun = Instant::now();
    std::thread::sleep(STALL / 5);
    let stopped = engine.stop().err().unwrap();
    assert!(matches!(stopped, NoAnswer::Stalled { .. }), "{stopped}");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert!(matches!(stalls.join().unwrap(), Err(NoAnswer::Stalled { .. })));
}
