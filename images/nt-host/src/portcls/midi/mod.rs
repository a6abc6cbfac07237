//! `IMiniportMidi`: streams of bytes, for devices without a sequencer of their own.
//!
//! The port does all the timing: what is due it hands to `IMiniportMidiStream::Write` as far as the device takes it, and
//! goes on when the stream's service group is served or a millisecond later; what came in it takes with `Read` when the
//! group is served.

pub(crate) mod new_stream;
pub(crate) mod parser;
pub(crate) mod stream;
