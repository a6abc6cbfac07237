//! The structures of kernel streaming as user mode hands them over (ks.h, ksmedia.h), for both widths.
//!
//! A structure that holds a pointer or a handle has another layout in a 32-bit process. Both are types here, and a test holds
//! each size and offset against the public headers of mingw-w64.

use alloc::vec::Vec;

use guest_protocol::{KsState, StreamFormat};

use crate::guid::{self, Guid};

/// `IOCTL_KS_PROPERTY`.
pub const IOCTL_KS_PROPERTY: u32 = 0x002f_0003;
/// `IOCTL_KS_WRITE_STREAM`.
pub const IOCTL_KS_WRITE_STREAM: u32 = 0x002f_8013;
/// `IOCTL_KS_READ_STREAM`.
pub const IOCTL_KS_READ_STREAM: u32 = 0x002f_4017;

/// `KSPROPERTY_TYPE_GET`, `_SET`, `_BASICSUPPORT` and `_TOPOLOGY`.
pub const PROPERTY_GET: u32 = 1;
/// See [`PROPERTY_GET`].
pub const PROPERTY_SET: u32 = 2;
/// See [`PROPERTY_GET`].
pub const PROPERTY_BASIC_SUPPORT: u32 = 0x200;
/// See [`PROPERTY_GET`].
pub const PROPERTY_TOPOLOGY: u32 = 0x1000_0000;

/// `KSPRIORITY_NORMAL`.
pub const PRIORITY_NORMAL: u32 = 0x4000_0000;

/// `KSPROPERTY_PIN_*`.
pub mod pin {
    /// Number of pin factories.
    pub const CTYPES: u32 = 1;
    /// `KSPIN_DATAFLOW`: 1 in, 2 out.
    pub const DATAFLOW: u32 = 2;
    /// `KSMULTIPLE_ITEM` of `KSDATARANGE`.
    pub const DATARANGES: u32 = 3;
    /// `KSPIN_COMMUNICATION`: 0 none, 1 sink, 2 source, 3 both, 4 bridge.
    pub const COMMUNICATION: u32 = 7;
    /// `KSPIN_CINSTANCES` of all filters.
    pub const GLOBALCINSTANCES: u32 = 8;
}

/// `KSPIN_DATAFLOW_IN`.
pub const DATAFLOW_IN: u32 = 1;
/// `KSPIN_COMMUNICATION_NONE` and `_BRIDGE`: such pins are not for clients.
pub const COMMUNICATION_NONE: u32 = 0;
/// See [`COMMUNICATION_NONE`].
pub const COMMUNICATION_BRIDGE: u32 = 4;
/// `KSPIN_COMMUNICATION_SOURCE`: the pin calls the pin that it is connected to.
pub const COMMUNICATION_SOURCE: u32 = 2;

/// `KSPROPERTY_TOPOLOGY_NODES`.
pub const TOPOLOGY_NODES: u32 = 1;
/// `KSPROPERTY_CONNECTION_STATE`.
pub const CONNECTION_STATE: u32 = 0;
/// `KSPROPERTY_SYNTH_MASTERCLOCK`.
pub const SYNTH_MASTER_CLOCK: u32 = 0;

/// The width of a process's pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 32 bits.
    Bits32,
    /// 64 bits.
    Bits64,
}

impl Width {
    /// The width of this program.
    pub const OWN: Self = if size_of::<usize>() == 4 { Self::Bits32 } else { Self::Bits64 };
}

/// `KSIDENTIFIER`: a `KSPROPERTY`, a pin's interface, a pin's medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Identifier {
    /// The set.
    pub set: Guid,
    /// The number in the set.
    pub id: u32,
    /// Flags.
    pub flags: u32,
}

/// `KSPRIORITY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Priority {
    /// The class.
    pub class: u32,
    /// The class within the class.
    pub sub_class: u32,
}

/// `KSPIN_CONNECT` of a 64-bit process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct PinConnect64 {
    /// How data is exchanged.
    pub interface: Identifier,
    /// Through what.
    pub medium: Identifier,
    /// The pin factory.
    pub pin: u32,
    /// The place that aligns the handle.
    pub reserved: u32,
    /// The pin to connect to; 0 for a client that reads or writes by itself.
    pub pin_to: u64,
    /// The priority.
    pub priority: Priority,
}

/// `KSPIN_CONNECT` of a 32-bit process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct PinConnect32 {
    /// How data is exchanged.
    pub interface: Identifier,
    /// Through what.
    pub medium: Identifier,
    /// The pin factory.
    pub pin: u32,
    /// The pin to connect to; 0 for a client that reads or writes by itself.
    pub pin_to: u32,
    /// The priority.
    pub priority: Priority,
}

/// `KSSTREAM_HEADER` of a 64-bit process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct StreamHeader64 {
    /// Its size.
    pub size: u32,
    /// `KSSTREAM_HEADER_OPTIONSF_*` of the type.
    pub type_flags: u32,
    /// The time in units of `numerator / denominator` 100 ns.
    pub time: i64,
    /// See `time`.
    pub numerator: u32,
    /// See `time`.
    pub denominator: u32,
    /// The duration.
    pub duration: i64,
    /// Bytes of the buffer.
    pub extent: u32,
    /// Bytes in use.
    pub used: u32,
    /// The buffer's address.
    pub data: u64,
    /// Flags.
    pub options: u32,
    /// Of a 64-bit process only.
    pub reserved: u32,
}

/// `KSSTREAM_HEADER` of a 32-bit process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct StreamHeader32 {
    /// Its size.
    pub size: u32,
    /// `KSSTREAM_HEADER_OPTIONSF_*` of the type.
    pub type_flags: u32,
    /// The time in units of `numerator / denominator` 100 ns.
    pub time: i64,
    /// See `time`.
    pub numerator: u32,
    /// See `time`.
    pub denominator: u32,
    /// The duration.
    pub duration: i64,
    /// Bytes of the buffer.
    pub extent: u32,
    /// Bytes in use.
    pub used: u32,
    /// The buffer's address.
    pub data: u32,
    /// Flags.
    pub options: u32,
}

/// Collects fields in their order. Every structure here is without gaps, so that this is its layout.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn word(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn long(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn identifier(mut self, value: &Identifier) -> Self {
        self.0.extend(value.set);
        self.word(value.id).word(value.flags)
    }
}

/// Returns a `KSDATAFORMAT`, with a `WAVEFORMATEX` behind it for PCM.
#[must_use]
pub fn data_format(format: StreamFormat) -> Vec<u8> {
    let header = |bytes: u32, sample: u32, major: Guid, sub: Guid, specifier: Guid| {
        let mut fields = Fields::default().word(bytes).word(0).word(sample).word(0);
        for guid in [major, sub, specifier] {
            fields.0.extend(guid);
        }
        fields.0
    };
    match format {
        StreamFormat::DirectMusic => header(64, 0, guid::TYPE_MUSIC, guid::SUBTYPE_DIRECTMUSIC, guid::SPECIFIER_NONE),
        StreamFormat::Midi => header(64, 0, guid::TYPE_MUSIC, guid::SUBTYPE_MIDI, guid::SPECIFIER_NONE),
        StreamFormat::Pcm { sample_rate, channels, bits } => {
            let block = channels.saturating_mul(bits.div_ceil(8));
            let mut bytes = header(82, block.into(), guid::TYPE_AUDIO, guid::SUBTYPE_PCM, guid::SPECIFIER_WAVEFORMATEX);
            // WAVE_FORMAT_PCM, which has no bytes behind it.
            bytes.extend(1_u16.to_le_bytes());
            bytes.extend(channels.to_le_bytes());
            bytes.extend(sample_rate.to_le_bytes());
            bytes.extend(sample_rate.saturating_mul(block.into()).to_le_bytes());
            for field in [block, bits, 0] {
                bytes.extend(field.to_le_bytes());
            }
            bytes
        }
    }
}

/// Returns the `KSPIN_CONNECT` of a pin that a client reads or writes by itself, and its data format.
#[must_use]
pub fn pin_connect(width: Width, pin: u32, format: StreamFormat) -> Vec<u8> {
    let fields = Fields::default()
        .identifier(&Identifier { set: guid::INTERFACE_STANDARD, id: 0, flags: 0 })
        .identifier(&Identifier { set: guid::MEDIUM_STANDARD, id: 0, flags: 0 })
        .word(pin);
    let fields = match width {
        Width::Bits32 => fields.word(0),
        Width::Bits64 => fields.word(0).long(0),
    };
    let mut bytes = fields.word(PRIORITY_NORMAL).word(1).0;
    bytes.extend(data_format(format));
    bytes
}

/// Returns a `KSSTREAM_HEADER` for a buffer at an address, of which some bytes are used, at a time in 100 ns units.
#[must_use]
pub fn stream_header(width: Width, address: u64, extent: u32, used: u32, time: i64) -> Vec<u8> {
    let size = match width {
        Width::Bits32 => size_of::<StreamHeader32>(),
        Width::Bits64 => size_of::<StreamHeader64>(),
    } as u32;
    let fields = Fields::default().word(size).word(0).long(time.cast_unsigned()).word(1).word(1).long(0);
    let fields = fields.word(extent).word(used);
    match width {
        // An address of a 32-bit process has 32 bits.
        Width::Bits32 => fields.word(address as u32).word(0).0,
        Width::Bits64 => fields.long(address).word(0).word(0).0,
    }
}

/// The offset of `DataUsed` in a `KSSTREAM_HEADER` of either width.
pub const DATA_USED: usize = 36;

/// The offset of `PresentationTime.Time` in a `KSSTREAM_HEADER` of either width.
pub const PRESENTATION_TIME: usize = 8;

/// Returns a `KSPROPERTY`, or a `KSNODEPROPERTY`.
#[must_use]
pub fn property(set: &Guid, id: u32, verb: u32, node: Option<u32>) -> Vec<u8> {
    let flags = verb | if node.is_some() { PROPERTY_TOPOLOGY } else { 0 };
    let fields = Fields::default().identifier(&Identifier { set: *set, id, flags });
    match node {
        Some(node) => fields.word(node).word(0).0,
        None => fields.0,
    }
}

/// Returns a `KSP_PIN`.
#[must_use]
pub fn pin_property(id: u32, pin: u32) -> Vec<u8> {
    let property = Identifier { set: guid::PROPERTIES_PIN, id, flags: PROPERTY_GET };
    Fields::default().identifier(&property).word(pin).word(0).0
}

/// Returns the value of a `KSSTATE`.
#[must_use]
pub const fn state_value(state: KsState) -> u32 {
    match state {
        KsState::Stop => 0,
        KsState::Acquire => 1,
        KsState::Pause => 2,
        KsState::Run => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_as_long_as_the_structures_of_each_width() {
        for (width, connect, header) in [
            (Width::Bits32, size_of::<PinConnect32>(), size_of::<StreamHeader32>()),
            (Width::Bits64, size_of::<PinConnect64>(), size_of::<StreamHeader64>()),
        ] {
            assert_eq!(pin_connect(width, 1, StreamFormat::DirectMusic).len(), connect + 64);
            let pcm = StreamFormat::Pcm { sample_rate: 48_000, channels: 2, bits: 16 };
            assert_eq!(pin_connect(width, 1, pcm).len(), connect + 82);
            let bytes = stream_header(width, 0x1234, 100, 40, 7);
            assert_eq!(bytes.len(), header);
            assert_eq!(bytes[DATA_USED..][..4], 40_u32.to_le_bytes());
            assert_eq!(bytes[PRESENTATION_TIME..][..8], 7_i64.to_le_bytes());
            assert_eq!(bytes[40..][..2], [0x34, 0x12]);
        }
        assert_eq!(property(&guid::PROPERTIES_PIN, 1, PROPERTY_GET, None).len(), 24);
        assert_eq!(property(&guid::PROPERTIES_PIN, 1, PROPERTY_GET, Some(0)).len(), 32);
        assert_eq!(pin_property(1, 0).len(), 32);
    }
}
