//! The guest's second processor: it writes to guest memory, again and again, until it is stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use dmus_card::fake::Ram;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::guest::{RAM_LENGTH, RAM_START};

/// One write, as an input has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub(super) struct Write {
    /// Where, as an offset in guest memory.
    pub(super) offset: U32,
    /// How many bytes, 8 at most; in the high 16 bits, what is added to the value after each round.
    pub(super) width: U32,
    /// The value.
    pub(super) value: U64,
}

struct Script {
    ram: Ram,
    writes: Vec<Write>,
    stop: Arc<AtomicBool>,
}

/// The second processor.
pub(super) struct Racer {
    scripts: Sender<Script>,
    done: Receiver<()>,
    running: Option<Arc<AtomicBool>>,
}

impl Racer {
    /// Starts it, without writes.
    pub(super) fn start() -> Self {
        let (scripts, inbox) = channel();
        let (answer, done) = channel();
        std::thread::Builder::new()
            .name("racer".into())
            .spawn(move || {
                for script in inbox {
                    run(&script);
                    if answer.send(()).is_err() {
                        return;
                    }
                }
            })
            .expect("a thread for the second processor");
        Self { scripts, done, running: None }
    }

    /// Starts these writes.
    pub(super) fn race(&mut self, ram: Ram, writes: Vec<Write>) {
        self.calm();
        if writes.is_empty() {
            return;
        }
        let stop = Arc::new(AtomicBool::new(false));
        self.running = Some(Arc::clone(&stop));
        self.scripts.send(Script { ram, writes, stop }).expect("the second processor runs");
    }

    /// Stops it.
    pub(super) fn calm(&mut self) {
        if let Some(stop) = self.running.take() {
            stop.store(true, Ordering::Release);
            self.done.recv().expect("the second processor runs");
        }
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        if let Some(stop) = self.running.take() {
            stop.store(true, Ordering::Release);
        }
    }
}

fn run(script: &Script) {
    let mut writes = script.writes.clone();
    while !script.stop.load(Ordering::Acquire) {
        for write in &mut writes {
            let width = u64::from(write.width.get() & 0xffff).clamp(1, 8);
            let offset = u64::from(write.offset.get()).min(RAM_LENGTH - width);
            let value = write.value.get();
            script.ram.write(RAM_START + offset, &value.to_le_bytes()[..width as usize]);
            write.value = value.wrapping_add(u64::from(write.width.get() >> 16)).into();
        }
        // The card's threads and the first processor share two real ones with it.
        std::thread::yield_now();
    }
}
