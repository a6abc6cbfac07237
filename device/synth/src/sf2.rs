//! SoundFont 2 files as a [`Collection`]: the third way into the instrument model.
//!
//! The file is read by the `rustysynth` crate, which also lays global zones under local ones. Presets and instruments
//! become instruments of regions, generators become connections. Modulators are not read; SoundFont's default ones are
//! near enough to DLS's own connections. What rustysynth gives in seconds and Hz was whole cents in the file, and is
//! rounded back to them, so that the result does not depend on a platform's mathematics.

use std::collections::HashMap;
use std::sync::Arc;

use rustysynth::{InstrumentRegion, LoopMode, PresetRegion, SoundFont};

use crate::dls::spec::transform::{LINEAR, SOURCE_BIPOLAR};
use crate::dls::spec::{destination as d, source as s};
use crate::dls::{
    BankError, Collection, Connection, Instrument, Patch, Region, SampleLoop, Wave, WaveLink, WaveSample,
};
use crate::limits::{INSTRUMENTS_MAX, REGIONS_MAX, WAVE_RATE_MAX};

/// SoundFont's bank of drum kits.
const DRUM_BANK: i32 = 128;

/// Time cents at and below which a time counts as none: 1 ms.
const NO_TIME: f64 = -12_000.0;

/// Shortest release, in time cents: 5 ms. SoundFont's default of 1 ms clicks.
const RELEASE_MIN: f64 = -9173.0;

/// Cutoff in cents from which a filter is taken for open: SoundFont's default.
const CUTOFF_OPEN: f64 = 13_500.0;

/// Part of an attenuation that counts. The EMU8000, for whose sound banks are made, took so much of it, and all players
/// have followed it.
const ATTENUATION: f64 = 0.4;

/// What is taken from every region, in dB. SoundFonts are made for players that turn them down (FluidSynth by 14 dB);
/// DirectMusic turns up by 12 dB what DLS leaves quiet. With this, a dense song just fits.
const HEADROOM_DB: f64 = 17.0;

/// SoundFont's decays are timed for 100 dB, those of DLS for 96.
const DECAY_CENTS: f64 = -70.67;

/// Part of the reverb and chorus controllers that is sent (SoundFont 2.04, 8.4.8 and 8.4.9).
const SEND: f64 = 0.2;

/// Depth of the modulation wheel and of channel pressure in cents (8.4.3 and 8.4.4).
const VIBRATO: f64 = 50.0;

/// Highest key group of DLS.
const KEY_GROUPS: i32 = 15;

/// Whether these are the first bytes of a SoundFont.
pub(crate) fn is_sound_font(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"sfbk")
}

impl Collection {
    /// Reads a SoundFont 2 file. Its parser is another crate's, and not made for hostile files: feed it files of the
    /// user's own only.
    ///
    /// # Errors
    /// [`BankError`], when the file is not one or is beyond repair.
    pub fn from_sf2(bytes: &[u8]) -> Result<Self, BankError> {
        let font = SoundFont::new(&mut &*bytes).map_err(|error| BankError::SoundFont(error.to_string()))?;
        let mut maker = Maker { font: &font, waves: Vec::new(), indices: HashMap::new() };
        let mut instruments = Vec::new();
        let mut regions = 0;
        for preset in font.get_presets() {
            let (bank, program) = (preset.get_bank_number(), preset.get_patch_number());
            let patch = Patch {
                drums: bank == DRUM_BANK,
                bank_msb: if bank == DRUM_BANK { 0 } else { bank as u8 & 0x7F },
                bank_lsb: 0,
                program: program as u8 & 0x7F,
            };
            let found: Vec<Region> = preset.get_regions().iter().flat_map(|outer| maker.regions(outer)).collect();
            regions += found.len();
            if instruments.len() == INSTRUMENTS_MAX || regions > REGIONS_MAX {
                return Err(BankError::TooMany { what: "regions", limit: REGIONS_MAX });
            }
            let name = preset.get_name().to_owned();
            instruments.push(Instrument { name, patch, regions: found, articulation: Vec::new() });
        }
        if instruments.is_empty() {
            return Err(BankError::NoInstruments);
        }
        let name = font.get_info().get_bank_name().to_owned();
        let copyright = font.get_info().get_copyright().to_owned();
        Ok(Self { name, copyright, instruments, waves: maker.waves })
    }
}

struct Maker<'a> {
    font: &'a SoundFont,
    waves: Vec<Option<Arc<Wave>>>,
    indices: HashMap<(i32, i32, i32), u32>,
}

impl Maker<'_> {
    fn regions(&mut self, outer: &PresetRegion) -> Vec<Region> {
        let Some(instrument) = self.font.get_instruments().get(outer.get_instrument_id()) else { return Vec::new() };
        instrument.get_regions().iter().filter_map(|inner| self.region(outer, inner)).collect()
    }

    fn region(&mut self, outer: &PresetRegion, inner: &InstrumentRegion) -> Option<Region> {
        let common = |outer: (i32, i32), inner: (i32, i32)| {
            let (low, high) = (outer.0.max(inner.0), outer.1.min(inner.1));
            (low <= high).then_some((low as u16, high as u16))
        };
        let keys = common(
            (outer.get_key_range_start(), outer.get_key_range_end()),
            (inner.get_key_range_start(), inner.get_key_range_end()),
        )?;
        let velocities = common(
            (outer.get_velocity_range_start(), outer.get_velocity_range_end()),
            (inner.get_velocity_range_start(), inner.get_velocity_range_end()),
        )?;
        let header = self.font.get_sample_headers().get(inner.get_sample_id())?;
        let (start, end) = (inner.get_sample_start(), inner.get_sample_end());
        let index = self.wave(header.get_name(), start, end, header.get_sample_rate())?;
        let sample_loop = (inner.get_sample_modes() != LoopMode::NoLoop).then(|| SampleLoop {
            until_release: inner.get_sample_modes() == LoopMode::LoopUntilNoteOff,
            start: (inner.get_sample_start_loop() - start).max(0) as u32,
            length: (inner.get_sample_end_loop() - inner.get_sample_start_loop()).max(0) as u32,
        });
        let tune =
            100 * (inner.get_coarse_tune() + outer.get_coarse_tune()) + inner.get_fine_tune() + outer.get_fine_tune();
        let attenuation = f64::from(inner.get_initial_attenuation() + outer.get_initial_attenuation()) * ATTENUATION;
        let class = inner.get_exclusive_class();
        Some(Region {
            keys,
            velocities,
            options: 0,
            key_group: if class > 0 { ((class - 1) % KEY_GROUPS + 1) as u16 } else { 0 },
            sample: Some(WaveSample {
                unity_note: inner.get_root_key().clamp(0, 127) as u16,
                fine_tune: tune.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16,
                gain: fixed(-10.0 * (attenuation + HEADROOM_DB)),
                options: 0,
                sample_loop: sample_loop.filter(|found| found.length > 0),
            }),
            link: WaveLink { channels: 1, index, ..WaveLink::default() },
            articulation: Some(connections(outer, inner)),
        })
    }

    /// The index of a stretch of the samples.
    fn wave(&mut self, name: &str, start: i32, end: i32, rate: i32) -> Option<u32> {
        if let Some(index) = self.indices.get(&(start, end, rate)) {
            return Some(*index);
        }
        let rate_in_range = (1..=WAVE_RATE_MAX as i32).contains(&rate);
        let samples = self.font.get_wave_data().get(start as usize..end as usize).filter(|_| rate_in_range)?;
        let index = self.waves.len() as u32;
        self.waves.push(Some(Arc::new(Wave::new(name, rate as u32, samples, None))));
        self.indices.insert((start, end, rate), index);
        Some(index)
    }
}

/// A number in 16.16.
fn fixed(value: f64) -> i32 {
    libm::round(value * 65_536.0) as i32
}

/// A ratio in whole cents.
fn ratio_cents(ratio: f64) -> f64 {
    libm::round(1200.0 * libm::log2(ratio))
}

/// Connections in the making.
struct List(Vec<Connection>);

impl List {
    fn add(&mut self, source: u16, control: u16, destination: u16, transform: u16, scale: f64) {
        if scale != 0.0 {
            self.0.push(Connection { source, control, destination, transform, scale: fixed(scale) });
        }
    }

    /// A constant. Unlike a connection of something, one of zero says something too.
    fn constant(&mut self, destination: u16, scale: i32) {
        self.0.push(Connection { source: s::NONE, control: s::NONE, destination, transform: LINEAR, scale });
    }

    /// A time, from the instrument's seconds and the preset's factor, with cents more.
    fn time(&mut self, destination: u16, inner: f32, outer: f32, more: f64, least: f64) {
        let cents = ratio_cents(f64::from(inner)) + ratio_cents(f64::from(outer));
        let none = cents <= NO_TIME && least <= NO_TIME;
        self.constant(destination, if none { i32::MIN } else { fixed((cents + more).max(least)) });
    }
}

fn connections(outer: &PresetRegion, inner: &InstrumentRegion) -> Vec<Connection> {
    let mut list = List(Vec::new());
    let both = |a: i32, b: i32| f64::from(a) + f64::from(b);
    let key = |per_key: f64| -128.0 * per_key;

    // The volume envelope. Times that follow the key are meant at key 60.
    let hold = both(inner.get_key_number_to_volume_envelope_hold(), outer.get_key_number_to_volume_envelope_hold());
    let decay = both(inner.get_key_number_to_volume_envelope_decay(), outer.get_key_number_to_volume_envelope_decay());
    let none = f64::NEG_INFINITY;
    list.time(d::EG1_DELAY, inner.get_delay_volume_envelope(), outer.get_delay_volume_envelope(), 0.0, none);
    list.time(d::EG1_ATTACK, inner.get_attack_volume_envelope(), outer.get_attack_volume_envelope(), 0.0, none);
    list.time(d::EG1_HOLD, inner.get_hold_volume_envelope(), outer.get_hold_volume_envelope(), 60.0 * hold, none);
    let decay_more = DECAY_CENTS + 60.0 * decay;
    list.time(d::EG1_DECAY, inner.get_decay_volume_envelope(), outer.get_decay_volume_envelope(), decay_more, none);
    let (release, outer_release) = (inner.get_release_volume_envelope(), outer.get_release_volume_envelope());
    list.time(d::EG1_RELEASE, release, outer_release, DECAY_CENTS, RELEASE_MIN);
    let sustain = f64::from(inner.get_sustain_volume_envelope() + outer.get_sustain_volume_envelope());
    list.constant(d::EG1_SUSTAIN, fixed(1000.0 * (1.0 - sustain / 96.0).clamp(0.0, 1.0)));
    list.add(s::KEY_NUMBER, s::NONE, d::EG1_HOLD, LINEAR, key(hold));
    list.add(s::KEY_NUMBER, s::NONE, d::EG1_DECAY, LINEAR, key(decay));

    // The modulation envelope.
    let hold =
        both(inner.get_key_number_to_modulation_envelope_hold(), outer.get_key_number_to_modulation_envelope_hold());
    let decay =
        both(inner.get_key_number_to_modulation_envelope_decay(), outer.get_key_number_to_modulation_envelope_decay());
    list.time(d::EG2_DELAY, inner.get_delay_modulation_envelope(), outer.get_delay_modulation_envelope(), 0.0, none);
    list.time(d::EG2_ATTACK, inner.get_attack_modulation_envelope(), outer.get_attack_modulation_envelope(), 0.0, none);
    let (inner_hold, outer_hold) = (inner.get_hold_modulation_envelope(), outer.get_hold_modulation_envelope());
    list.time(d::EG2_HOLD, inner_hold, outer_hold, 60.0 * hold, none);
    let (inner_decay, outer_decay) = (inner.get_decay_modulation_envelope(), outer.get_decay_modulation_envelope());
    list.time(d::EG2_DECAY, inner_decay, outer_decay, 60.0 * decay, none);
    let (release, outer_release) = (inner.get_release_modulation_envelope(), outer.get_release_modulation_envelope());
    list.time(d::EG2_RELEASE, release, outer_release, 0.0, none);
    let sustain = f64::from(inner.get_sustain_modulation_envelope() + outer.get_sustain_modulation_envelope());
    list.constant(d::EG2_SUSTAIN, fixed(1000.0 * (1.0 - sustain / 100.0).clamp(0.0, 1.0)));
    list.add(s::KEY_NUMBER, s::NONE, d::EG2_HOLD, LINEAR, key(hold));
    list.add(s::KEY_NUMBER, s::NONE, d::EG2_DECAY, LINEAR, key(decay));
    let to_pitch = both(inner.get_modulation_envelope_to_pitch(), outer.get_modulation_envelope_to_pitch());
    list.add(s::EG2, s::NONE, d::PITCH, LINEAR, to_pitch);

    // The oscillators.
    let frequency = |inner: f32, outer: f32| {
        // rustysynth counts from 8.176 Hz.
        fixed(libm::round(1200.0 * libm::log2(f64::from(inner) / 8.176)) + ratio_cents(f64::from(outer)))
    };
    let hertz = (inner.get_frequency_modulation_lfo(), outer.get_frequency_modulation_lfo());
    list.constant(d::LFO_FREQUENCY, frequency(hertz.0, hertz.1));
    let hertz = (inner.get_frequency_vibrato_lfo(), outer.get_frequency_vibrato_lfo());
    list.constant(d::VIB_FREQUENCY, frequency(hertz.0, hertz.1));
    list.time(d::LFO_DELAY, inner.get_delay_modulation_lfo(), outer.get_delay_modulation_lfo(), 0.0, none);
    list.time(d::VIB_DELAY, inner.get_delay_vibrato_lfo(), outer.get_delay_vibrato_lfo(), 0.0, none);
    let depth = both(inner.get_modulation_lfo_to_pitch(), outer.get_modulation_lfo_to_pitch());
    list.add(s::LFO, s::NONE, d::PITCH, SOURCE_BIPOLAR, depth);
    let depth = f64::from(inner.get_modulation_lfo_to_volume() + outer.get_modulation_lfo_to_volume());
    list.add(s::LFO, s::NONE, d::GAIN, SOURCE_BIPOLAR, 10.0 * depth);
    let depth = both(inner.get_vibrato_lfo_to_pitch(), outer.get_vibrato_lfo_to_pitch());
    list.add(s::VIBRATO, s::NONE, d::PITCH, SOURCE_BIPOLAR, depth);
    list.add(s::VIBRATO, s::CC1, d::PITCH, SOURCE_BIPOLAR, VIBRATO);
    list.add(s::VIBRATO, s::CHANNEL_PRESSURE, d::PITCH, SOURCE_BIPOLAR, VIBRATO);

    // The filter.
    let lfo = both(
        inner.get_modulation_lfo_to_filter_cutoff_frequency(),
        outer.get_modulation_lfo_to_filter_cutoff_frequency(),
    );
    let eg2 = both(
        inner.get_modulation_envelope_to_filter_cutoff_frequency(),
        outer.get_modulation_envelope_to_filter_cutoff_frequency(),
    );
    let hertz = (inner.get_initial_filter_cutoff_frequency(), outer.get_initial_filter_cutoff_frequency());
    let cutoff = libm::round(1200.0 * libm::log2(f64::from(hertz.0) / 8.176)) + ratio_cents(f64::from(hertz.1));
    if cutoff < CUTOFF_OPEN || lfo < 0.0 || eg2 < 0.0 {
        list.constant(d::FILTER_CUTOFF, fixed(cutoff));
        let resonance = f64::from(inner.get_initial_filter_q() + outer.get_initial_filter_q());
        list.constant(d::FILTER_Q, fixed(10.0 * resonance.clamp(0.0, 96.0)));
        list.add(s::LFO, s::NONE, d::FILTER_CUTOFF, SOURCE_BIPOLAR, lfo);
        list.add(s::EG2, s::NONE, d::FILTER_CUTOFF, LINEAR, eg2);
    }

    // Outputs.
    let percent = |inner: f32, outer: f32| fixed(10.0 * f64::from(inner + outer));
    list.constant(d::PAN, percent(inner.get_pan(), outer.get_pan()));
    list.constant(d::REVERB, percent(inner.get_reverb_effects_send(), outer.get_reverb_effects_send()));
    list.constant(d::CHORUS, percent(inner.get_chorus_effects_send(), outer.get_chorus_effects_send()));
    list.add(s::CC91, s::NONE, d::REVERB, LINEAR, 1000.0 * SEND);
    list.add(s::CC93, s::NONE, d::CHORUS, LINEAR, 1000.0 * SEND);

    // Scale tuning turns around the root key.
    let scale = both(inner.get_scale_tuning(), outer.get_scale_tuning());
    if scale != 100.0 {
        let row = Connection {
            source: s::KEY_NUMBER,
            control: s::NONE,
            destination: d::PITCH,
            transform: LINEAR,
            scale: fixed(128.0 * scale),
        };
        list.0.push(row);
        list.constant(d::PITCH, fixed((100.0 - scale) * f64::from(inner.get_root_key())));
    }
    list.0
}
