//! The numbers of DLS level 1 and 2 (MMA DLS-1 v1.1b; DLS Level 2.2 v1.0, RP-025 amendment 2).
//!
//! Where the text and the header of the specification disagree (the captions of CC91 and CC93, the order of the rear
//! and LFE outputs), the header is right and is followed here.

/// Sources and controls of connection blocks (DLS-2.2, `CONN_SRC_*`). `0x80 + n` is controller `n`.
pub mod source {
    /// Nothing: counts as 1.
    pub const NONE: u16 = 0;
    /// The modulation LFO.
    pub const LFO: u16 = 1;
    /// Note-on velocity.
    pub const VELOCITY: u16 = 2;
    /// MIDI note number.
    pub const KEY_NUMBER: u16 = 3;
    /// The volume envelope.
    pub const EG1: u16 = 4;
    /// The modulation envelope.
    pub const EG2: u16 = 5;
    /// The pitch wheel.
    pub const PITCH_WHEEL: u16 = 6;
    /// Polyphonic pressure.
    pub const POLY_PRESSURE: u16 = 7;
    /// Channel pressure.
    pub const CHANNEL_PRESSURE: u16 = 8;
    /// The vibrato LFO.
    pub const VIBRATO: u16 = 9;
    /// Modulation wheel.
    pub const CC1: u16 = 0x81;
    /// Channel volume.
    pub const CC7: u16 = 0x87;
    /// Pan.
    pub const CC10: u16 = 0x8A;
    /// Expression.
    pub const CC11: u16 = 0x8B;
    /// Reverb send.
    pub const CC91: u16 = 0xDB;
    /// Chorus send.
    pub const CC93: u16 = 0xDD;
    /// Pitch bend range.
    pub const RPN0: u16 = 0x100;
    /// Fine tuning.
    pub const RPN1: u16 = 0x101;
    /// Coarse tuning.
    pub const RPN2: u16 = 0x102;
}

/// Destinations of connection blocks (DLS-2.2, `CONN_DST_*`).
pub mod destination {
    /// Gain; "attenuation" in level 1, where a negative scale attenuates all the same (erratum of DLS-1 v1.1).
    pub const GAIN: u16 = 1;
    /// Pitch.
    pub const PITCH: u16 = 3;
    /// Pan.
    pub const PAN: u16 = 4;
    /// The key number after coarse tuning.
    pub const KEY_NUMBER: u16 = 5;
    /// Chorus send.
    pub const CHORUS: u16 = 0x80;
    /// Reverb send.
    pub const REVERB: u16 = 0x81;
    /// Frequency of the modulation LFO.
    pub const LFO_FREQUENCY: u16 = 0x104;
    /// Start delay of the modulation LFO.
    pub const LFO_DELAY: u16 = 0x105;
    /// Frequency of the vibrato LFO.
    pub const VIB_FREQUENCY: u16 = 0x114;
    /// Start delay of the vibrato LFO.
    pub const VIB_DELAY: u16 = 0x115;
    /// Volume envelope: attack time.
    pub const EG1_ATTACK: u16 = 0x206;
    /// Volume envelope: decay time.
    pub const EG1_DECAY: u16 = 0x207;
    /// Volume envelope: release time.
    pub const EG1_RELEASE: u16 = 0x209;
    /// Volume envelope: sustain level.
    pub const EG1_SUSTAIN: u16 = 0x20A;
    /// Volume envelope: delay time.
    pub const EG1_DELAY: u16 = 0x20B;
    /// Volume envelope: hold time.
    pub const EG1_HOLD: u16 = 0x20C;
    /// Volume envelope: release time of a voice that is shut down.
    pub const EG1_SHUTDOWN: u16 = 0x20D;
    /// Modulation envelope: attack time.
    pub const EG2_ATTACK: u16 = 0x30A;
    /// Modulation envelope: decay time.
    pub const EG2_DECAY: u16 = 0x30B;
    /// Modulation envelope: release time.
    pub const EG2_RELEASE: u16 = 0x30D;
    /// Modulation envelope: sustain level.
    pub const EG2_SUSTAIN: u16 = 0x30E;
    /// Modulation envelope: delay time.
    pub const EG2_DELAY: u16 = 0x30F;
    /// Modulation envelope: hold time.
    pub const EG2_HOLD: u16 = 0x310;
    /// Filter cutoff frequency.
    pub const FILTER_CUTOFF: u16 = 0x500;
    /// Filter resonance.
    pub const FILTER_Q: u16 = 0x501;
}

/// The transform word of a connection block (DLS-2.2, 1.14.4; level 1 has the low four bits only).
pub mod transform {
    /// No transform.
    pub const LINEAR: u16 = 0;
    /// Concave.
    pub const CONCAVE: u16 = 1;
    /// Convex.
    pub const CONVEX: u16 = 2;
    /// Switch.
    pub const SWITCH: u16 = 3;
    /// The lowest bit of the control's curve, 4 bits wide.
    pub const CONTROL_SHIFT: u32 = 4;
    /// The control is bipolar.
    pub const CONTROL_BIPOLAR: u16 = 1 << 8;
    /// The control is inverted.
    pub const CONTROL_INVERT: u16 = 1 << 9;
    /// The lowest bit of the source's curve, 4 bits wide.
    pub const SOURCE_SHIFT: u32 = 10;
    /// The source is bipolar.
    pub const SOURCE_BIPOLAR: u16 = 1 << 14;
    /// The source is inverted.
    pub const SOURCE_INVERT: u16 = 1 << 15;
    /// The bits that level 2 adds to level 1's four.
    pub const LEVEL_2_BITS: u16 = 0xFFF0;
    /// Inverted concave source: how velocity, volume and expression become gain.
    pub const SOURCE_INVERTED_CONCAVE: u16 = SOURCE_INVERT | CONCAVE << SOURCE_SHIFT;
}

/// `F_INSTRUMENT_DRUMS`: a drum kit, in `insh.ulBank` and in DirectMusic's patch numbers.
pub const INSTRUMENT_DRUMS: u32 = 1 << 31;

/// `F_RGN_OPTION_SELFNONEXCLUSIVE`: the same key may sound twice. In `rgnh.fusOptions` (level 2.1's text names the
/// wrong field).
pub const REGION_SELF_NON_EXCLUSIVE: u16 = 1;

/// The highest key group (`rgnh.usKeyGroup`).
pub const KEY_GROUP_MAX: u16 = 15;

/// `F_WAVELINK_PHASE_MASTER`: of the waves of one phase group, this one leads.
pub const WAVE_LINK_PHASE_MASTER: u16 = 1;

/// `F_WAVELINK_MULTICHANNEL`: the wave belongs to the outputs of its channel mask.
pub const WAVE_LINK_MULTICHANNEL: u16 = 2;

/// `WLOOP_TYPE_FORWARD`.
pub const LOOP_FORWARD: u32 = 0;

/// `WLOOP_TYPE_RELEASE`: 1 in the specification, 2 in the header of Windows 2000. Both are taken, 1 is written.
pub const LOOP_RELEASE: [u32; 2] = [1, 2];

/// A time of exactly zero, which nothing modulates.
pub const TIME_ZERO: i32 = i32::MIN;

/// A filter that is open under any modulation.
pub const CUTOFF_OPEN: i32 = i32::MAX;

/// The unity note of a wave that has no `wsmp`.
pub const UNITY_NOTE_DEFAULT: u16 = 60;

/// `WAVE_FORMAT_PCM`.
pub const FORMAT_PCM: u16 = 1;

/// `WAVE_FORMAT_EXTENSIBLE`.
pub const FORMAT_EXTENSIBLE: u16 = 0xFFFE;

/// The bytes that all of `KSDATAFORMAT_SUBTYPE_*` have behind the format tag.
pub(crate) const SUBTYPE_TAIL: &[u8] = &[0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];

/// Destinations that the specification reserves, and that shipped collections use all the same: to be ignored.
pub const RESERVED_DESTINATIONS: [u16; 3] = [0x0002, 0x0208, 0x030C];

/// `ptbl`: a cue that leads to no wave.
pub const NULL_CUE: u32 = u32::MAX;
