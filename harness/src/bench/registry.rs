//! The benchmarks by name.

use super::context::Context;
use super::error::BenchError;
use super::measurement::Measurement;
use super::{driver, nt_host, scenario, suite, synth, trace, transport};

/// Measures, and passes each figure to the closure.
type Run = fn(&Context<'_>, &mut dyn FnMut(Measurement)) -> Result<(), BenchError>;

/// A benchmark.
#[derive(Clone, Copy)]
pub struct Benchmark {
    /// The part of its measurements' names before the slash.
    pub name: &'static str,
    /// The measured quantity, in words.
    pub text: &'static str,
    run: Run,
}

/// All benchmarks.
pub const ALL: [Benchmark; 7] = [
    Benchmark {
        name: "scenario",
        text: "ten seconds and three minutes of music through card, driver and NT host, from QEMU's start to the verdict, \
               step by step; the baseline of the whole is the boot of the NT host alone, measured by turns, and of the aim what \
               it should take",
        run: scenario::run,
    },
    Benchmark {
        name: "suite",
        text: "the shipped scenarios that play through the project's own driver, side by side: each scenario's median, cases \
               that passed, and the time of all; the baseline of that is the aim, half a second a case",
        run: suite::run,
    },
    Benchmark {
        name: "nt-host",
        text: "from QEMU's start until the NT host serves; the baseline is the firmware's share",
        run: nt_host::run,
    },
    Benchmark {
        name: "driver",
        text: "the driver's own paths, timed inside the guest: PutMessage to card (events a second, kicks an event, one by \
               one, in chains and in packages; until the card has taken a burst), and interrupt to service routine, service \
               group and client; the baseline is the same without the verifier, and the C++ driver's figures end in /cpp",
        run: driver::run,
    },
    Benchmark {
        name: "transport",
        text: "a read of the identity block, and from a kick to the interrupt, at the socket of the card's process, p50 and \
               p99; the baseline is a bare back-end of the framework, measured in turns",
        run: transport::run,
    },
    Benchmark {
        name: "trace",
        text: "what a record of the trace costs, and the processor time of the card an event, sent one by one and in chains of 16; \
               the baseline is the same without a trace, measured in turns",
        run: trace::run,
    },
    Benchmark {
        name: "synth",
        text: "the synthesizer beside FluidSynth, RustySynth and OxiSynth: nanoseconds a voice and frame at 32, 256 and \
               1000 voices, times real time with whole songs, and the parts of the project's own time; the baseline is FluidSynth \
               with 4 points",
        run: synth::run,
    },
];

impl Benchmark {
    /// Measures, and passes each figure to `report` as soon as it is known.
    ///
    /// # Errors
    /// [`BenchError`] when the test bed, the driver or a synthesizer fails, or something cannot be provisioned.
    pub fn run(&self, context: &Context<'_>, report: &mut dyn FnMut(Measurement)) -> Result<(), BenchError> {
        (self.run)(context, report)
    }
}
