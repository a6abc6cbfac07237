//! The filter's pins and nodes.
//!
//! ```text
//!  pin 0  MIDI ─────────┐
//!                       ├─► node 0 synthesizer ─► pin 2  PCM
//!  pin 1  DirectMusic ──┘
//!  pin 4  jack ────────────► node 1 capture ────► pin 3  captured MIDI
//! ```
//!
//! The legacy pin has the lower number, so that the system's MIDI drivers find it first. The card's PCM comes back
//! into host memory, so there is a wave pin where a card with a jack would have a bridge.

use crate::midi_out;

/// The legacy MIDI render pin.
pub const PIN_MIDI: u32 = 0;

/// The DirectMusic render pin.
pub const PIN_DIRECTMUSIC: u32 = 1;

/// The wave pin.
pub const PIN_WAVE: u32 = 2;

/// The capture pin. It cannot be opened on a card that does not capture.
pub const PIN_CAPTURE: u32 = 3;

/// The bridge pin through which captured MIDI comes in. It is never opened.
pub const PIN_JACK: u32 = 4;

/// Number of pins.
pub const PINS: usize = 5;

/// The synthesizer node.
pub const NODE_SYNTHESIZER: u32 = 0;

/// The node through which captured MIDI comes. A DirectMusic pin leads from or to a node of the synthesizer's type; the
/// properties of this one say that it is no synthesizer.
pub const NODE_CAPTURE: u32 = 1;

/// Instances of each render pin while the other has none: they share the card's streams.
pub const RENDER_INSTANCES: u32 = midi_out::STREAMS as u32;

/// Instances of the wave pin: it owns the sample clock.
pub const WAVE_INSTANCES: u32 = 1;

/// Instances of the capture pin.
pub const CAPTURE_INSTANCES: u32 = 1;

/// Most instances of each pin.
pub const INSTANCES: [u32; PINS] = [RENDER_INSTANCES, RENDER_INSTANCES, WAVE_INSTANCES, CAPTURE_INSTANCES, 0];
