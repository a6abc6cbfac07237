//! Generators: the numbers of a zone (SoundFont 2.04, 8.1).

/// Numbers of the generators that have an effect (8.1.2), by their names in the specification.
pub(crate) mod id {
    /// `startAddrsOffset`.
    pub(crate) const START: usize = 0;
    /// `endAddrsOffset`.
    pub(crate) const END: usize = 1;
    /// `startloopAddrsOffset`.
    pub(crate) const LOOP_START: usize = 2;
    /// `endloopAddrsOffset`.
    pub(crate) const LOOP_END: usize = 3;
    /// `startAddrsCoarseOffset`.
    pub(crate) const START_COARSE: usize = 4;
    /// `modLfoToPitch`.
    pub(crate) const MOD_LFO_TO_PITCH: usize = 5;
    /// `vibLfoToPitch`.
    pub(crate) const VIB_LFO_TO_PITCH: usize = 6;
    /// `modEnvToPitch`.
    pub(crate) const MOD_ENV_TO_PITCH: usize = 7;
    /// `initialFilterFc`.
    pub(crate) const FILTER_CUTOFF: usize = 8;
    /// `initialFilterQ`.
    pub(crate) const FILTER_Q: usize = 9;
    /// `modLfoToFilterFc`.
    pub(crate) const MOD_LFO_TO_CUTOFF: usize = 10;
    /// `modEnvToFilterFc`.
    pub(crate) const MOD_ENV_TO_CUTOFF: usize = 11;
    /// `endAddrsCoarseOffset`.
    pub(crate) const END_COARSE: usize = 12;
    /// `modLfoToVolume`.
    pub(crate) const MOD_LFO_TO_VOLUME: usize = 13;
    /// `chorusEffectsSend`.
    pub(crate) const CHORUS: usize = 15;
    /// `reverbEffectsSend`.
    pub(crate) const REVERB: usize = 16;
    /// `pan`.
    pub(crate) const PAN: usize = 17;
    /// `delayModLFO`.
    pub(crate) const MOD_LFO_DELAY: usize = 21;
    /// `freqModLFO`.
    pub(crate) const MOD_LFO_FREQUENCY: usize = 22;
    /// `delayVibLFO`.
    pub(crate) const VIB_LFO_DELAY: usize = 23;
    /// `freqVibLFO`.
    pub(crate) const VIB_LFO_FREQUENCY: usize = 24;
    /// `delayModEnv`.
    pub(crate) const MOD_ENV_DELAY: usize = 25;
    /// `attackModEnv`.
    pub(crate) const MOD_ENV_ATTACK: usize = 26;
    /// `holdModEnv`.
    pub(crate) const MOD_ENV_HOLD: usize = 27;
    /// `decayModEnv`.
    pub(crate) const MOD_ENV_DECAY: usize = 28;
    /// `sustainModEnv`.
    pub(crate) const MOD_ENV_SUSTAIN: usize = 29;
    /// `releaseModEnv`.
    pub(crate) const MOD_ENV_RELEASE: usize = 30;
    /// `keynumToModEnvHold`.
    pub(crate) const KEY_TO_MOD_ENV_HOLD: usize = 31;
    /// `keynumToModEnvDecay`.
    pub(crate) const KEY_TO_MOD_ENV_DECAY: usize = 32;
    /// `delayVolEnv`.
    pub(crate) const VOL_ENV_DELAY: usize = 33;
    /// `attackVolEnv`.
    pub(crate) const VOL_ENV_ATTACK: usize = 34;
    /// `holdVolEnv`.
    pub(crate) const VOL_ENV_HOLD: usize = 35;
    /// `decayVolEnv`.
    pub(crate) const VOL_ENV_DECAY: usize = 36;
    /// `sustainVolEnv`.
    pub(crate) const VOL_ENV_SUSTAIN: usize = 37;
    /// `releaseVolEnv`.
    pub(crate) const VOL_ENV_RELEASE: usize = 38;
    /// `keynumToVolEnvHold`.
    pub(crate) const KEY_TO_VOL_ENV_HOLD: usize = 39;
    /// `keynumToVolEnvDecay`.
    pub(crate) const KEY_TO_VOL_ENV_DECAY: usize = 40;
    /// `instrument`.
    pub(crate) const INSTRUMENT: usize = 41;
    /// `keyRange`.
    pub(crate) const KEY_RANGE: usize = 43;
    /// `velRange`.
    pub(crate) const VELOCITY_RANGE: usize = 44;
    /// `startloopAddrsCoarseOffset`.
    pub(crate) const LOOP_START_COARSE: usize = 45;
    /// `keynum`.
    pub(crate) const KEY: usize = 46;
    /// `velocity`.
    pub(crate) const VELOCITY: usize = 47;
    /// `initialAttenuation`.
    pub(crate) const ATTENUATION: usize = 48;
    /// `endloopAddrsCoarseOffset`.
    pub(crate) const LOOP_END_COARSE: usize = 50;
    /// `coarseTune`.
    pub(crate) const COARSE_TUNE: usize = 51;
    /// `fineTune`.
    pub(crate) const FINE_TUNE: usize = 52;
    /// `sampleID`.
    pub(crate) const SAMPLE: usize = 53;
    /// `sampleModes`.
    pub(crate) const SAMPLE_MODES: usize = 54;
    /// `scaleTuning`.
    pub(crate) const SCALE_TUNING: usize = 56;
    /// `exclusiveClass`.
    pub(crate) const EXCLUSIVE_CLASS: usize = 57;
    /// `overridingRootKey`.
    pub(crate) const ROOT_KEY: usize = 58;
    /// The pitch wheel's destination in the default modulators; no generator has this number.
    pub(crate) const PITCH: usize = 59;
}

/// One more than the highest number of a generator.
pub(crate) const COUNT: usize = 60;

/// Returns whether a modulator may lead to a generator: it is one of the value generators (8.1.1), or the pitch.
pub(crate) fn is_destination(number: usize) -> bool {
    matches!(
        number,
        id::MOD_LFO_TO_PITCH..=id::MOD_ENV_TO_CUTOFF
            | id::MOD_LFO_TO_VOLUME
            | id::CHORUS..=id::PAN
            | id::MOD_LFO_DELAY..=id::KEY_TO_VOL_ENV_DECAY
            | id::ATTENUATION
            | id::COARSE_TUNE
            | id::FINE_TUNE
            | id::SCALE_TUNING
            | id::PITCH
    )
}

/// Returns whether a generator has no effect: unused, reserved, or unknown.
pub(crate) fn is_without_effect(number: usize) -> bool {
    matches!(number, 14 | 18..=20 | 42 | 49 | 55) || number >= id::PITCH
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

/// Returns whether a generator counts for nothing at the level of presets.
pub(crate) fn is_of_instruments_only(number: usize) -> bool {
    INSTRUMENT_ONLY.contains(&number)
}

/// Returns the least and the greatest value of a generator (8.1.3). What is not limited there is not limited here.
pub(crate) const fn limits_of(number: usize) -> (i32, i32) {
    match number {
        id::START | id::START_COARSE => (0, i32::MAX),
        id::END | id::END_COARSE => (i32::MIN, 0),
        id::MOD_LFO_TO_PITCH
        | id::VIB_LFO_TO_PITCH
        | id::MOD_ENV_TO_PITCH
        | id::MOD_LFO_TO_CUTOFF
        | id::MOD_ENV_TO_CUTOFF => (-12_000, 12_000),
        id::FILTER_CUTOFF => (1500, 13_500),
        id::FILTER_Q => (0, 960),
        id::MOD_LFO_TO_VOLUME => (-960, 960),
        id::CHORUS | id::REVERB | id::MOD_ENV_SUSTAIN => (0, 1000),
        id::PAN => (-500, 500),
        id::MOD_LFO_DELAY
        | id::VIB_LFO_DELAY
        | id::MOD_ENV_DELAY
        | id::VOL_ENV_DELAY
        | id::MOD_ENV_HOLD
        | id::VOL_ENV_HOLD => (-12_000, 5000),
        id::MOD_LFO_FREQUENCY | id::VIB_LFO_FREQUENCY => (-16_000, 4500),
        id::MOD_ENV_ATTACK
        | id::VOL_ENV_ATTACK
        | id::MOD_ENV_DECAY
        | id::VOL_ENV_DECAY
        | id::MOD_ENV_RELEASE
        | id::VOL_ENV_RELEASE => (-12_000, 8000),
        id::KEY_TO_MOD_ENV_HOLD | id::KEY_TO_MOD_ENV_DECAY | id::KEY_TO_VOL_ENV_HOLD | id::KEY_TO_VOL_ENV_DECAY => {
            (-1200, 1200)
        }
        id::VOL_ENV_SUSTAIN | id::ATTENUATION => (0, 1440),
        id::COARSE_TUNE => (-120, 120),
        id::FINE_TUNE => (-99, 99),
        id::SCALE_TUNING => (0, 1200),
        _ => (i32::MIN, i32::MAX),
    }
}

/// Returns the default value of a generator.
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

/// The generators of one zone, by number.
#[derive(Clone, Debug)]
pub(crate) struct Generators([Option<i16>; COUNT]);

impl Default for Generators {
    fn default() -> Self {
        Self([None; COUNT])
    }
}

impl Generators {
    /// Sets a generator. An unknown number has no effect.
    pub(crate) fn set(&mut self, number: usize, amount: i16) {
        if let Some(slot) = self.0.get_mut(number) {
            *slot = Some(amount);
        }
    }

    /// Returns the amount of a generator. `None`: the zone does not set it.
    pub(crate) fn get(&self, number: usize) -> Option<i16> {
        self.0.get(number).copied().flatten()
    }

    /// Returns the lowest and the highest of a range, which is the whole when the zone has none.
    pub(crate) fn range(&self, number: usize) -> (u16, u16) {
        let [low, high] = self.get(number).map_or([0, 127], i16::to_le_bytes);
        (low.into(), high.into())
    }

    /// Returns this zone's generators, with a global zone's where this one has none.
    pub(crate) fn over(&self, global: &Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i].or(global.0[i])))
    }
}

/// The generators of a voice: the instrument's, to which the preset's are added.
pub(crate) struct Sum<'a> {
    pub(crate) instrument: &'a Generators,
    pub(crate) preset: &'a Generators,
}

impl Sum<'_> {
    /// Returns the sum of the instrument's amount, or the default, and the preset's, within the generator's limits.
    pub(crate) fn get(&self, number: usize) -> i32 {
        let own = self.instrument.get(number).map_or_else(|| default_of(number), i32::from);
        let more = if is_of_instruments_only(number) { None } else { self.preset.get(number) };
        let (least, greatest) = limits_of(number);
        (own + more.map_or(0, i32::from)).clamp(least, greatest)
    }

    /// Returns the key or the velocity that a zone puts in place of the note's (`keynum`, `velocity`).
    pub(crate) fn fixed(&self, number: usize) -> Option<u8> {
        // A negative amount is what editors write for none.
        u16::try_from(self.instrument.get(number)?).ok().map(|value| value.min(127) as u8)
    }

    /// Returns the sum as a floating-point number.
    pub(crate) fn number(&self, number: usize) -> f64 {
        f64::from(self.get(number))
    }
}
