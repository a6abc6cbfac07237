//! The values of a voice's destinations that depend on its channel.

/// The values that a voice's connections give for its channel, in powers of 2: set when the channel changes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Aim {
    /// The base, and how much of the two oscillators and the modulation envelope comes to it.
    pub(crate) pitch: [f32; 3],
    /// The step of the oscillator without these, in 1/2^32 samples.
    pub(crate) step: f64,
    /// The base, and the same as above.
    pub(crate) gain: [f32; 4],
    /// DirectMusic's gain and the master volume, which are added to what the connections come to.
    pub(crate) volume: f32,
    /// The base over Fs/512, and the same as above.
    pub(crate) cutoff: [f32; 4],
    /// Gain of the four buses (left, right, reverb, chorus) by pan and sends, from the oscillator's units.
    pub(crate) outputs: [f32; 4],
}
