//! Modulators (SoundFont 2.04, 8.2 to 8.4, 9.5).

use core::fmt;

use super::generators::{id, is_destination};

/// The bit of a destination that makes it the index of a modulator (8.2, `sfModDestOper`).
const LINK: u16 = 0x8000;

/// The transform that takes the absolute value (8.3).
const ABSOLUTE: u16 = 2;

/// A modulator, as the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Modulator {
    pub(crate) source: u16,
    /// The number of a generator, or with [`LINK`] the index of a modulator in the same list.
    pub(crate) destination: u16,
    pub(crate) amount: i32,
    pub(crate) amount_source: u16,
    pub(crate) transform: u16,
}

/// The kind of a source (8.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    /// Counts as 1.
    None,
    Velocity,
    Key,
    PolyPressure,
    ChannelPressure,
    Wheel,
    WheelSensitivity,
    /// The modulators that lead to this one.
    Link,
    Controller(u8),
}

impl SourceKind {
    /// Reads a source.
    ///
    /// # Errors
    /// The reason why the specification has no such source: the modulator is to be ignored then.
    pub(crate) fn of(bits: u16) -> Result<Self, &'static str> {
        if bits >> 10 > 3 {
            return Err("SoundFont has no such curve");
        }
        let index = (bits & 0x7F) as u8;
        Ok(match (bits & 0x80 != 0, index) {
            (true, 0 | 6 | 32 | 38 | 98..=101 | 120..=127) => return Err("SoundFont forbids the controller"),
            (true, number) => Self::Controller(number),
            (false, 0) => Self::None,
            (false, 2) => Self::Velocity,
            (false, 3) => Self::Key,
            (false, 10) => Self::PolyPressure,
            (false, 13) => Self::ChannelPressure,
            (false, 14) => Self::Wheel,
            (false, 16) => Self::WheelSensitivity,
            (false, 127) => Self::Link,
            (false, _) => return Err("SoundFont has no such source"),
        })
    }
}

impl Modulator {
    fn identity(&self) -> (u16, u16, u16, u16) {
        (self.source, self.destination, self.amount_source, self.transform)
    }

    /// Returns whether two modulators differ in their amount only: then one replaces the other, or is added to it
    /// (9.5.1). Linked ones are parts of a chain, and stand for no other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.identity() == other.identity() && !self.is_linked()
    }

    /// Returns the index of the modulator that this one leads to.
    pub(crate) fn link(&self) -> Option<usize> {
        (self.destination & LINK != 0).then_some(usize::from(self.destination & !LINK))
    }

    /// Leads this modulator to another one.
    pub(crate) fn set_link(&mut self, index: usize) {
        self.destination = LINK | (index as u16 & !LINK);
    }

    /// Returns whether others lead to this modulator.
    pub(crate) fn is_fed(&self) -> bool {
        [self.source, self.amount_source].iter().any(|bits| SourceKind::of(*bits) == Ok(SourceKind::Link))
    }

    fn is_linked(&self) -> bool {
        self.link().is_some() || self.is_fed()
    }

    /// Returns whether the absolute value of the product counts.
    pub(crate) fn is_absolute(&self) -> bool {
        self.transform == ABSOLUTE
    }

    /// Returns why the modulator is to be ignored (8.2.1, 8.2.4, 8.3). Where it leads to another one is for the zone to
    /// say.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if let Some(why) = [self.source, self.amount_source].iter().find_map(|bits| SourceKind::of(*bits).err()) {
            return Some(why);
        }
        if !matches!(self.transform, 0 | ABSOLUTE) {
            return Some("SoundFont has no such transform");
        }
        let leads = self.link().is_some() || is_destination(usize::from(self.destination));
        (!leads).then_some("SoundFont modulates no such generator")
    }
}

const fn modulator(source: u16, destination: usize, amount: i32, amount_source: u16) -> Modulator {
    Modulator { source, destination: destination as u16, amount, amount_source, transform: 0 }
}

/// The default modulators (8.4). The pitch wheel's leads to the pitch itself, which has no generator.
pub(crate) const DEFAULTS: [Modulator; 10] = [
    modulator(0x0502, id::ATTENUATION, 960, 0),
    VELOCITY_TO_CUTOFF,
    modulator(0x000D, id::VIB_LFO_TO_PITCH, 50, 0),
    modulator(0x0081, id::VIB_LFO_TO_PITCH, 50, 0),
    modulator(0x0587, id::ATTENUATION, 960, 0),
    PAN,
    modulator(0x058B, id::ATTENUATION, 960, 0),
    modulator(0x00DB, id::REVERB, 200, 0),
    modulator(0x00DD, id::CHORUS, 200, 0),
    modulator(0x020E, id::PITCH, 12_700, 0x0010),
];

/// Velocity to filter cutoff (8.4.2).
const VELOCITY_TO_CUTOFF: Modulator = modulator(0x0102, id::FILTER_CUTOFF, -2400, 0);

/// The same in version 2.01, with a switch at the middle of velocity. Fonts of that time that change or remove it do so in
/// this form.
const VELOCITY_TO_CUTOFF_2_01: Modulator = modulator(0x0102, id::FILTER_CUTOFF, -2400, 0x0D02);

/// Controller 10 to pan (8.4.6).
const PAN: Modulator = modulator(0x028A, id::PAN, 1000, 0);

/// Returns whether a modulator is the default one of pan, of any amount.
pub(crate) fn is_default_pan(modulator: &Modulator) -> bool {
    PAN.is_same(modulator)
}

/// Modulators of a voice in the making.
#[derive(Clone, Debug)]
pub(crate) struct List(Vec<Modulator>);

impl List {
    /// Combines the modulators of one level: the global zone's, replaced by the zone's own.
    pub(crate) fn of_zone(global: &[Modulator], own: &[Modulator]) -> Self {
        let mut list = Self(Vec::with_capacity(global.len() + own.len()));
        list.merge(global, |found, other| *found = *other);
        list.merge(own, |found, other| *found = *other);
        list
    }

    /// Combines the modulators of a voice: an instrument's replace the default ones, and a preset's are added.
    pub(crate) fn of_voice(instrument: &Self, preset: &Self) -> Self {
        let mut list = Self(DEFAULTS.to_vec());
        if instrument.0.iter().any(|m| VELOCITY_TO_CUTOFF_2_01.is_same(m)) {
            list.0.retain(|m| !VELOCITY_TO_CUTOFF.is_same(m));
        }
        list.merge(&instrument.0, |found, other| *found = *other);
        list.merge(&preset.0, |found, other| found.amount += other.amount);
        list
    }

    /// Adds another list, and combines what is in both. Links go on to the modulators that they led to.
    fn merge(&mut self, others: &[Modulator], combine: impl Fn(&mut Modulator, &Modulator)) {
        let first = self.0.len();
        let mut places = Vec::with_capacity(others.len());
        for other in others {
            match self.0.iter().position(|m| m.is_same(other)) {
                Some(place) => {
                    combine(&mut self.0[place], other);
                    places.push(place);
                }
                None => {
                    places.push(self.0.len());
                    self.0.push(*other);
                }
            }
        }
        for modulator in &mut self.0[first..] {
            if let Some(place) = modulator.link().and_then(|target| places.get(target)) {
                modulator.set_link(*place);
            }
        }
    }

    /// Iterates over the modulators.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Modulator> {
        self.0.iter()
    }
}

/// Takes out of a zone's modulators those that are to be ignored, and puts the others in an order in which one that leads to
/// another is before it. Returns the former with the reason, by their index in the zone (8.2, 8.3, 9.5.4).
pub(crate) fn take_out_faulty(zone: &mut Vec<Modulator>) -> Vec<(usize, Modulator, &'static str)> {
    let mut faults: Vec<Option<&'static str>> = zone.iter().map(Modulator::fault).collect();
    // Each time round one more at least is found to be faulty, or it was the last time.
    loop {
        let before = faults.iter().flatten().count();
        for (index, modulator) in zone.iter().enumerate().filter(|(_, m)| m.link().is_some()) {
            let target = modulator.link().unwrap_or_default();
            let why = match zone.get(target) {
                None => Some("it leads to a modulator that does not exist"),
                Some(other) if !other.is_fed() => Some("it leads to a modulator whose source is no other one"),
                Some(_) if faults[target].is_some() => Some("it leads to a modulator that is ignored"),
                Some(_) => None,
            };
            faults[index] = faults[index].or(why);
        }
        if faults.iter().flatten().count() == before {
            break;
        }
    }
    // Those that wait for no other, time after time; what is left waits for itself.
    let mut order: Vec<usize> = Vec::with_capacity(zone.len());
    let mut waits: Vec<usize> = vec![0; zone.len()];
    let target = |index: usize, faults: &[Option<&'static str>]| zone[index].link().filter(|_| faults[index].is_none());
    for index in 0..zone.len() {
        if let Some(target) = target(index, &faults) {
            waits[target] += 1;
        }
    }
    let mut ready: Vec<usize> = (0..zone.len()).rev().filter(|index| waits[*index] == 0).collect();
    while let Some(index) = ready.pop() {
        order.push(index);
        if let Some(target) = target(index, &faults) {
            waits[target] -= 1;
            if waits[target] == 0 {
                ready.push(target);
            }
        }
    }
    for (index, _) in waits.iter().enumerate().filter(|(_, waits)| **waits > 0) {
        faults[index] = faults[index].or(Some("its links lead in a circle"));
    }
    order.retain(|index| faults[*index].is_none());
    let mut places = vec![None; zone.len()];
    order.iter().enumerate().for_each(|(place, index)| places[*index] = Some(place));
    let ordered: Vec<Modulator> = order
        .iter()
        .filter_map(|index| {
            let mut modulator = zone[*index];
            if let Some(target) = modulator.link() {
                modulator.set_link(places.get(target).copied().flatten()?);
            }
            Some(modulator)
        })
        .collect();
    let lost = faults.iter().enumerate().filter_map(|(index, why)| Some((index, zone[index], (*why)?))).collect();
    *zone = ordered;
    lost
}

impl fmt::Display for Modulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, destination, amount, amount_source, transform } = self;
        write!(f, "{source:#06x} x {amount_source:#06x} to generator {destination}, amount {amount}")?;
        if *transform == 0 { Ok(()) } else { write!(f, ", transform {transform}") }
    }
}
