//! One side of the comparison: a back-end, the machine that it is in, and what was measured.

use std::time::{Duration, Instant};

use card_spec::control::{RequestCode, RequestHeader};
use card_spec::queue::Queue;
use card_spec::registers::{DEVICE, FILE, file};
use dmus_card::fake::{Board, Machine, Piece};
use zerocopy::IntoBytes;

use super::BackEnd;
use super::client::Client;

/// The time before each sample, in which a back-end that has just worked goes to sleep.
const PAUSE: Duration = Duration::from_micros(30);

/// A measured quantity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    /// A read of the identity block.
    IdentityRead,
    /// A read of a register of the register file, which the card has over vfio-user only.
    RegisterRead,
    /// From a kick until the interrupt.
    KickToInterrupt,
}

impl Figure {
    pub(crate) const ALL: [Self; 3] = [Self::IdentityRead, Self::RegisterRead, Self::KickToInterrupt];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::IdentityRead => "identity-read",
            Self::RegisterRead => "register-read",
            Self::KickToInterrupt => "kick-to-interrupt",
        }
    }
}

/// A machine through which a back-end is reached.
pub(crate) trait Reach: Board {
    /// Reads what one access of a guest to the identity block reads.
    fn read_identity(&mut self);

    /// Reads a register. False where there are none.
    fn read_register(&mut self) -> bool;

    /// Returns whether a queue has interrupted since the last call.
    fn interrupted(&mut self, queue: Queue) -> bool;
}

impl Reach for Machine {
    fn read_identity(&mut self) {
        self.identity();
    }

    fn read_register(&mut self) -> bool {
        false
    }

    fn interrupted(&mut self, queue: Queue) -> bool {
        self.interrupts(queue) != 0
    }
}

impl Reach for Client {
    fn read_identity(&mut self) {
        self.read(0, DEVICE.into(), 4).expect("the identity block");
    }

    fn read_register(&mut self) -> bool {
        self.read(0, (FILE + file::IDENT).into(), 4).expect("the register IDENT");
        true
    }

    fn interrupted(&mut self, queue: Queue) -> bool {
        Self::interrupted(self, queue)
    }
}

/// A side.
pub(crate) struct Side {
    machine: Box<dyn Reach>,
    request: [Piece; 2],
    /// Microseconds, by figure.
    samples: [Vec<f64>; Figure::ALL.len()],
    _back_end: BackEnd,
}

impl Side {
    /// Returns a side whose rings have been started.
    pub(crate) fn new(back_end: BackEnd, machine: Box<dyn Reach>) -> Self {
        let header = RequestHeader { code: RequestCode::LATENCY.0.into(), length: 0.into(), tag: 1.into() };
        let request = machine.ram().place(header.as_bytes());
        let response = machine.ram().allocate(256);
        let request = [Piece::readable(request, size_of::<RequestHeader>()), Piece::writable(response, 256)];
        Self { machine, request, samples: Default::default(), _back_end: back_end }
    }

    /// Returns the time that a figure takes once; `None` where it does not exist.
    fn time(&mut self, figure: Figure) -> Option<Duration> {
        let paused = Instant::now();
        while paused.elapsed() < PAUSE {
            std::hint::spin_loop();
        }
        if figure == Figure::KickToInterrupt {
            return Some(self.interrupt());
        }
        let begun = Instant::now();
        let read = match figure {
            Figure::RegisterRead => self.machine.read_register(),
            _ => {
                self.machine.read_identity();
                true
            }
        };
        read.then(|| begun.elapsed())
    }

    /// Returns the time from a kick until the event descriptor is signalled, which this thread polls for.
    fn interrupt(&mut self) -> Duration {
        let request = self.request;
        self.machine.interrupted(Queue::CONTROL);
        let ring = self.machine.ring(Queue::CONTROL);
        ring.request_interrupt();
        ring.offer(&request);
        let begun = Instant::now();
        self.machine.kick(Queue::CONTROL);
        while !self.machine.interrupted(Queue::CONTROL) {
            std::hint::spin_loop();
        }
        let time = begun.elapsed();
        let (_, written) = self.machine.wait(Queue::CONTROL);
        assert_ne!(written, 0, "the request is not answered");
        time
    }

    /// Measures each figure this many times.
    pub(crate) fn turn(&mut self, samples: usize) {
        for (index, figure) in Figure::ALL.into_iter().enumerate() {
            for _ in 0..samples {
                let Some(time) = self.time(figure) else { break };
                self.samples[index].push(time.as_secs_f64() * 1e6);
            }
        }
    }

    /// Forgets what was measured.
    pub(crate) fn forget(&mut self) {
        self.samples = Default::default();
    }

    /// Returns the microseconds below which a part of the samples is; `None` where there are none.
    pub(crate) fn quantile(&mut self, figure: Figure, part: f64) -> Option<f64> {
        let samples = &mut self.samples[figure as usize];
        samples.sort_by(f64::total_cmp);
        let index = (samples.len() as f64 * part) as usize;
        samples.get(index.min(samples.len().saturating_sub(1))).copied()
    }
}
