//! The state of a MIDI channel (DLS-2.2, chapter 1.4; General MIDI where DLS refers to it).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

/// Channels of a channel group.
pub(crate) const CHANNELS: usize = 16;

/// The channel that plays drum kits at first: channel 10, counted from 1.
pub(crate) const DRUM_CHANNEL: usize = 9;

/// Numbers of the controllers that the synthesizer handles (MIDI 1.0).
pub(crate) mod controller {
    /// Bank Select, upper byte.
    pub(crate) const BANK_MSB: u8 = 0;
    /// Data Entry, upper byte.
    pub(crate) const DATA_MSB: u8 = 6;
    /// Channel Volume.
    pub(crate) const VOLUME: u8 = 7;
    /// Pan.
    pub(crate) const PAN: u8 = 10;
    /// Expression.
    pub(crate) const EXPRESSION: u8 = 11;
    /// Bank Select, lower byte.
    pub(crate) const BANK_LSB: u8 = 32;
    /// Data Entry, lower byte.
    pub(crate) const DATA_LSB: u8 = 38;
    /// Sustain pedal.
    pub(crate) const SUSTAIN: u8 = 64;
    /// Reverb send.
    pub(crate) const REVERB: u8 = 91;
    /// Non-Registered Parameter Number, lower byte.
    pub(crate) const NRPN_LSB: u8 = 98;
    /// Non-Registered Parameter Number, upper byte.
    pub(crate) const NRPN_MSB: u8 = 99;
    /// Registered Parameter Number, lower byte.
    pub(crate) const RPN_LSB: u8 = 100;
    /// Registered Parameter Number, upper byte.
    pub(crate) const RPN_MSB: u8 = 101;
    /// All Sound Off.
    pub(crate) const ALL_SOUND_OFF: u8 = 120;
    /// Reset All Controllers.
    pub(crate) const RESET_ALL_CONTROLLERS: u8 = 121;
    /// All Notes Off.
    pub(crate) const ALL_NOTES_OFF: u8 = 123;
    /// Poly Mode On.
    pub(crate) const POLY_MODE_ON: u8 = 127;
}

/// Registered parameters.
mod parameter {
    /// Pitch bend range.
    pub(super) const BEND_RANGE: u16 = 0;
    /// Fine tuning.
    pub(super) const FINE_TUNING: u16 = 1;
    /// Coarse tuning.
    pub(super) const COARSE_TUNING: u16 = 2;
    /// No parameter (RPN Null).
    pub(super) const NONE: u16 = 0x3FFF;
}

/// Bank select MSB that makes any channel melodic (General MIDI 2, taken up by DLS-2.2).
const BANK_MELODIC: u8 = 0x79;
/// Bank select MSB that makes any channel a drum channel.
const BANK_DRUMS: u8 = 0x78;

/// `DAUD_STANDARD_VOICE_PRIORITY`.
const PRIORITY_STANDARD: u32 = 0x8000_0000;
/// `DAUD_CHAN*_DEF_VOICE_PRIORITY`: which channel gives way to which. Channel 10 first, then 1 to 9, then 11 to 16.
const PRIORITY_OFFSETS: [u32; CHANNELS] = [0xE, 0xD, 0xC, 0xB, 0xA, 9, 8, 7, 6, 0xF, 5, 4, 3, 2, 1, 0];

/// MIDI's master controls (MIDI 1.0, "Device Control"; tunings: CA-25), the same on all channels of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Master {
    /// The volume in dB, 0 at most.
    pub(crate) volume: f64,
    /// The fine tuning in cents.
    pub(crate) fine: f64,
    /// The coarse tuning in cents, which drums do not follow (General MIDI 2).
    pub(crate) coarse: f64,
}

/// The volume of a master volume of 0, in dB: silence, with all the gains that DirectMusic adds.
const MASTER_SILENCE_DB: f64 = -200.0;

impl Master {
    /// Sets the volume, 0 to 16383, by the curve of Channel Volume: no other is published.
    pub(crate) fn set_volume(&mut self, value: u16) {
        self.volume = match value {
            0 => MASTER_SILENCE_DB,
            value => 40.0 * libm::log10(f64::from(value) / 16_383.0),
        };
    }

    /// Sets the fine tuning, 0 to 16383 for a semitone down to a semitone up.
    pub(crate) fn set_fine(&mut self, value: u16) {
        self.fine = 100.0 * (f64::from(value) - 8192.0) / 8192.0;
    }

    /// Sets the coarse tuning in semitones, 64 for none.
    pub(crate) fn set_coarse(&mut self, value: u8) {
        self.coarse = 100.0 * (f64::from(value) - 64.0);
    }
}

/// One channel.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) controllers: [u8; 128],
    pub(crate) poly_pressure: [u8; 128],
    pub(crate) pressure: u8,
    /// 0 to 16383, 8192 at rest.
    pub(crate) wheel: u16,
    pub(crate) program: u8,
    /// Bank and kind as the last program change found them.
    pub(crate) bank: (u8, u8),
    pub(crate) drums: bool,
    /// Semitones and cents.
    pub(crate) bend_range: (u8, u8),
    /// 0 to 16383, 8192 at rest.
    pub(crate) fine_tuning: u16,
    /// 64 at rest.
    pub(crate) coarse_tuning: u8,
    /// The group's master controls.
    pub(crate) master: Master,
    /// The priority of its voices when there are not enough.
    pub(crate) priority: u32,
    parameter: u16,
    drum_channel: bool,
}

impl Channel {
    /// Makes a channel in its power-on state; `index` is its number in the group, from 0.
    pub(crate) fn new(index: usize) -> Self {
        let mut channel = Self {
            controllers: [0; 128],
            poly_pressure: [0; 128],
            pressure: 0,
            wheel: 8192,
            program: 0,
            bank: (0, 0),
            drums: index == DRUM_CHANNEL,
            bend_range: (2, 0),
            fine_tuning: 8192,
            coarse_tuning: 64,
            master: Master::default(),
            priority: PRIORITY_STANDARD | PRIORITY_OFFSETS[index],
            parameter: parameter::NONE,
            drum_channel: index == DRUM_CHANNEL,
        };
        channel.power_on_controllers();
        channel
    }

    fn power_on_controllers(&mut self) {
        self.controllers = [0; 128];
        self.controllers[usize::from(controller::VOLUME)] = 100;
        self.controllers[usize::from(controller::PAN)] = 64;
        self.controllers[usize::from(controller::EXPRESSION)] = 127;
        self.controllers[usize::from(controller::REVERB)] = 40;
        self.poly_pressure = [0; 128];
        self.pressure = 0;
        self.wheel = 8192;
        self.parameter = parameter::NONE;
    }

    /// Applies Reset All Controllers. With a value of 127 the channel gets its power-on state, but keeps its program;
    /// with any other value volume, pan, tunings and the bank selected but not yet in force stay too. Expression is
    /// reset (erratum of DLS-1).
    pub(crate) fn reset_controllers(&mut self, value: u8) {
        let kept = [controller::VOLUME, controller::PAN, controller::BANK_MSB, controller::BANK_LSB]
            .map(|c| (usize::from(c), self.controllers[usize::from(c)]));
        self.power_on_controllers();
        if value == 127 {
            (self.bend_range, self.fine_tuning, self.coarse_tuning) = ((2, 0), 8192, 64);
        } else {
            kept.iter().for_each(|(c, value)| self.controllers[*c] = *value);
        }
    }

    /// Sets a controller; data entry goes to the parameter that is selected.
    pub(crate) fn set_controller(&mut self, number: u8, value: u8) {
        self.controllers[usize::from(number)] = value;
        let both = |msb: u8, lsb: u8| u16::from(msb) << 7 | u16::from(lsb);
        match number {
            controller::RPN_MSB => self.parameter = both(value, (self.parameter & 0x7F) as u8),
            controller::RPN_LSB => self.parameter = self.parameter & 0x3F80 | u16::from(value),
            // Data entry for a parameter that is not registered must not land in one that is.
            controller::NRPN_MSB | controller::NRPN_LSB => self.parameter = parameter::NONE,
            controller::DATA_MSB => match self.parameter {
                parameter::BEND_RANGE => self.bend_range.0 = value,
                parameter::FINE_TUNING => self.fine_tuning = both(value, (self.fine_tuning & 0x7F) as u8),
                parameter::COARSE_TUNING => self.coarse_tuning = value,
                _ => {}
            },
            controller::DATA_LSB => match self.parameter {
                parameter::BEND_RANGE => self.bend_range.1 = value,
                parameter::FINE_TUNING => self.fine_tuning = self.fine_tuning & 0x3F80 | u16::from(value),
                _ => {}
            },
            _ => {}
        }
    }

    /// Applies a Program Change: the bank selected before comes into force.
    pub(crate) fn set_program(&mut self, program: u8) {
        self.program = program;
        let msb = self.controllers[usize::from(controller::BANK_MSB)];
        self.bank = (msb, self.controllers[usize::from(controller::BANK_LSB)]);
        self.drums = match msb {
            BANK_DRUMS => true,
            BANK_MELODIC => false,
            _ => self.drum_channel,
        };
    }

    /// Returns the master tuning of its voices, in cents.
    pub(crate) fn master_cents(&self) -> f64 {
        self.master.fine + if self.drums { 0.0 } else { self.master.coarse }
    }

    /// Returns the value of a controller.
    pub(crate) fn controller(&self, number: u8) -> u8 {
        self.controllers[usize::from(number & 0x7F)]
    }

    /// Returns whether the sustain pedal is down.
    pub(crate) fn sustains(&self) -> bool {
        self.controller(controller::SUSTAIN) >= 64
    }

    /// Returns the banks in which to look for the program, best first. Without the selected bank, the General MIDI
    /// sound of the same program is nearer than silence.
    pub(crate) fn banks(&self) -> [(u8, u8); 3] {
        let (msb, lsb) = self.bank;
        match msb {
            BANK_MELODIC | BANK_DRUMS => [(msb, lsb), (0, lsb), (0, 0)],
            _ => [(msb, lsb), (msb, 0), (0, 0)],
        }
    }
}
