//! The driver's state of the wave stream.

use portcls::ks::KsState;

use crate::clock::Anchor;
use crate::format::PcmFormat;

/// An open wave stream.
#[derive(Clone, Copy)]
pub(super) struct WaveStream {
    pub(super) format: PcmFormat,
    pub(super) state: KsState,
    /// `None` until the stream is synchronised to master time.
    pub(super) anchor: Option<Anchor>,
    /// The frame after the last one rendered.
    pub(super) next_frame: i64,
    /// Frames of the last request: how far the sample clock moves at a time.
    pub(super) quantum: u32,
}
