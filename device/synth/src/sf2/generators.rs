//! Generators: the numbers of a zone (SoundFont 2.04, 8.1).

/// Numbers of generators (8.1.2), as far as something is made of them.
pub(super) mod id {
    pub(crate) const START: usize = 0;
    pub(crate) const END: usize = 1;
    pub(crate) const LOOP_START: usize = 2;
    pub(crate) const LOOP_END: usize = 3;
    pub(crate) const START_COARSE: usize = 4;
    pub(crate) const MOD_LFO_TO_PITCH: usize = 5;
    pub(crate) const VIB_LFO_TO_PITCH: usize = 6;
    pub(crate) const MOD_ENV_TO_PITCH: usize = 7;
    pub(crate) const FILTER_CUTOFF: usize = 8;
    pub(crate) const FILTER_Q: usize = 9;
    pub(crate) const MOD_LFO_TO_CUTOFF: usize = 10;
    pub(crate) const MOD_ENV_TO_CUTOFF: usize = 11;
    pub(crate) const END_COARSE: usize = 12;
    pub(crate) const MOD_LFO_TO_VOLUME: usize = 13;
    pub(crate) const CHORUS: usize = 15;
    pub(crate) const REVERB: usize = 16;
    pub(crate) const PAN: usize = 17;
    pub(crate) const MOD_LFO_DELAY: usize = 21;
    pub(crate) const MOD_LFO_FREQUENCY: usize = 22;
    pub(crate) const VIB_LFO_DELAY: usize = 23;
    pub(crate) const VIB_LFO_FREQUENCY: usize = 24;
    pub(crate) const MOD_ENV_DELAY: usize = 25;
    pub(crate) const MOD_ENV_ATTACK: usize = 26;
    pub(crate) const MOD_ENV_HOLD: usize = 27;
    pub(crate) const MOD_ENV_DECAY: usize = 28;
    pub(crate) const MOD_ENV_SUSTAIN: usize = 29;
    pub(crate) const MOD_ENV_RELEASE: usize = 30;
    pub(crate) const KEY_TO_MOD_ENV_HOLD: usize = 31;
    pub(crate) const KEY_TO_MOD_ENV_DECAY: usize = 32;
    pub(crate) const VOL_ENV_DELAY: usize = 33;
    pub(crate) const VOL_ENV_ATTACK: usize = 34;
    pub(crate) const VOL_ENV_HOLD: usize = 35;
    pub(crate) const VOL_ENV_DECAY: usize = 36;
    pub(crate) const VOL_ENV_SUSTAIN: usize = 37;
    pub(crate) const VOL_ENV_RELEASE: usize = 38;
    pub(crate) const KEY_TO_VOL_ENV_HOLD: usize = 39;
    pub(crate) const KEY_TO_VOL_ENV_DECAY: usize = 40;
    pub(crate) const INSTRUMENT: usize = 41;
    pub(crate) const KEY_RANGE: usize = 43;
    pub(crate) const VELOCITY_RANGE: usize = 44;
    pub(crate) const LOOP_START_COARSE: usize = 45;
    pub(crate) const KEY: usize = 46;
    pub(crate) const VELOCITY: usize = 47;
    pub(crate) const ATTENUATION: usize = 48;
    pub(crate) const LOOP_END_COARSE: usize = 50;
    pub(crate) const COARSE_TUNE: usize = 51;
    pub(crate) const FINE_TUNE: usize = 52;
    pub(crate) const SAMPLE: usize = 53;
    pub(crate) const SAMPLE_MODES: usize = 54;
    pub(crate) const SCALE_TUNING: usize = 56;
    pub(crate) const EXCLUSIVE_CLASS: usize = 57;
    pub(crate) const ROOT_KEY: usize = 58;
    /// The pitch wheel's destination in the default modulators; no generator has this number.
    pub(crate) const PITCH: usize = 59;
}

/// One more than the highest number of a generator.
pub(super) const COUNT: usize = 60;

/// Whether nothing is made of a generator: unused, reserved, or without a counterpart in DLS.
pub(super) fn is_without_effect(number: usize) -> bool {
    matches!(number, 14 | 18..=20 | 42 | 49 | 55 | id::KEY | id::VELOCITY) || number >= id::PITCH
}

/// Generators of the instrument level only: in a preset's zone they count for nothing.
const INSTRUMENT_ONLY: [usize; 13] = [
    id::START,
    id::END,
    id::LOOP_START,
    id::LOOP_END,
    id::START_COARSE,
    id::END_COARSE,
    id::LOOP_START_COARSE,
    id::LOOP_END_COARSE,
    id::KEY,
    id::VELOCITY,
    id::SAMPLE_MODES,
    id::EXCLUSIVE_CLASS,
    id::ROOT_KEY,
];

/// What a generator is when no zone says it.
fn default_of(number: usize) -> i32 {
    const NO_TIME: i32 = -12_000;
    match number {
        id::FILTER_CUTOFF => 13_500,
        id::MOD_LFO_DELAY
        | id::VIB_LFO_DELAY
        | id::MOD_ENV_DELAY
        | id::MOD_ENV_ATTACK
        | id::MOD_ENV_HOLD
        | id::MOD_ENV_DECAY
        | id::MOD_ENV_RELEASE
        | id::VOL_ENV_DELAY
        | id::VOL_ENV_ATTACK
        | id::VOL_ENV_HOLD
        | id::VOL_ENV_DECAY
        | id::VOL_ENV_RELEASE => NO_TIME,
        id::SCALE_TUNING => 100,
        id::ROOT_KEY => -1,
        _ => 0,
    }
}

/// The generators of one zone: those that it says, by number.
#[derive(Clone, Debug)]
pub(super) struct Generators([Option<i16>; COUNT]);

impl Default for Generators {
    fn default() -> Self {
        Self([None; COUNT])
    }
}

impl Generators {
    pub(super) fn set(&mut self, number: usize, amount: i16) {
        if let Some(slot) = self.0.get_mut(number) {
            *slot = Some(amount);
        }
    }

    pub(super) fn get(&self, number: usize) -> Option<i16> {
        self.0.get(number).copied().flatten()
    }

    /// The lowest and the highest of a range; all of it where the zone says none.
    pub(super) fn range(&self, number: usize) -> (u16, u16) {
        let [low, high] = self.get(number).map_or([0, 127], i16::to_le_bytes);
        (low.into(), high.into())
    }

    /// With what a global zone says where this one says nothing.
    pub(super) fn over(&self, global: &Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i].or(global.0[i])))
    }
}

/// The generators of a voice: what the instrument says, with what the preset adds.
pub(super) struct Sum<'a> {
    pub(super) instrument: &'a Generators,
    pub(super) preset: &'a Generators,
}

impl Sum<'_> {
    pub(super) fn get(&self, number: usize) -> i32 {
        let own = self.instrument.get(number).map_or_else(|| default_of(number), i32::from);
        let more = if INSTRUMENT_ONLY.contains(&number) { None } else { self.preset.get(number) };
        own + more.map_or(0, i32::from)
    }

    pub(super) fn number(&self, number: usize) -> f64 {
        f64::from(self.get(number))
    }
}
