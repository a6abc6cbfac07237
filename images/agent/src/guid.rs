//! GUIDs of kernel streaming (ks.h, ksmedia.h, dmusprop.h), as they are stored in memory.

/// A GUID, as it is stored in memory.
pub type Guid = [u8; 16];

/// Returns a GUID of its text without braces. A text that is none does not compile.
const fn guid(text: &str) -> Guid {
    /// The place in the text of each byte in memory: the first three fields are little-endian.
    const PLACES: [usize; 16] = [6, 4, 2, 0, 11, 9, 16, 14, 19, 21, 24, 26, 28, 30, 32, 34];
    const fn digit(byte: u8) -> u8 {
        match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'F' => byte - b'A' + 10,
            b'a'..=b'f' => byte - b'a' + 10,
            _ => panic!("a digit of a GUID is hexadecimal"),
        }
    }
    let text = text.as_bytes();
    assert!(text.len() == 36, "a GUID has 36 characters");
    let mut bytes = [0; 16];
    let mut index = 0;
    while index < 16 {
        bytes[index] = digit(text[PLACES[index]]) << 4 | digit(text[PLACES[index] + 1]);
        index += 1;
    }
    bytes
}

/// `KSCATEGORY_AUDIO`, `_RENDER`, `_CAPTURE` and `_SYNTHESIZER`: the categories in which a music driver registers its filters.
pub const CATEGORIES: [Guid; 4] = [
    guid("6994AD04-93EF-11D0-A3CC-00A0C9223196"),
    guid("65E8773E-8F56-11D0-A3B9-00A0C9223196"),
    guid("65E8773D-8F56-11D0-A3B9-00A0C9223196"),
    guid("DFF220F3-F70F-11D0-B917-00A0C9223196"),
];
/// `KSINTERFACESETID_Standard`.
pub const INTERFACE_STANDARD: Guid = guid("1A8766A0-62CE-11CF-A5D6-28DB04C10000");
/// `KSMEDIUMSETID_Standard`.
pub const MEDIUM_STANDARD: Guid = guid("4747B320-62CE-11CF-A5D6-28DB04C10000");
/// `KSPROPSETID_Pin`.
pub const PROPERTIES_PIN: Guid = guid("8C134960-51AD-11CF-878A-94F801C10000");
/// `KSPROPSETID_Topology`.
pub const PROPERTIES_TOPOLOGY: Guid = guid("720D4AC0-7533-11D0-A5D6-28DB04C10000");
/// `KSPROPSETID_Connection`.
pub const PROPERTIES_CONNECTION: Guid = guid("1D58C920-AC9B-11CF-A5D6-28DB04C10000");
/// `KSPROPSETID_SynthClock`.
pub const PROPERTIES_SYNTH_CLOCK: Guid = guid("FEDFAE26-E46E-11D1-AACE-0000F875AC12");
/// `KSDATAFORMAT_TYPE_MUSIC`.
pub const TYPE_MUSIC: Guid = guid("E725D360-62CC-11CF-A5D6-28DB04C10000");
/// `KSDATAFORMAT_TYPE_AUDIO`.
pub const TYPE_AUDIO: Guid = guid("73647561-0000-0010-8000-00AA00389B71");
/// `KSDATAFORMAT_SUBTYPE_MIDI`.
pub const SUBTYPE_MIDI: Guid = guid("1D262760-E957-11CF-A5D6-28DB04C10000");
/// `KSDATAFORMAT_SUBTYPE_DIRECTMUSIC`.
pub const SUBTYPE_DIRECTMUSIC: Guid = guid("1A82F8BC-3F8B-11D2-B774-0060083316C1");
/// `KSDATAFORMAT_SUBTYPE_PCM`.
pub const SUBTYPE_PCM: Guid = guid("00000001-0000-0010-8000-00AA00389B71");
/// `KSDATAFORMAT_SPECIFIER_NONE`.
pub const SPECIFIER_NONE: Guid = guid("0F6417D6-C318-11D0-A43F-00A0C9223196");
/// `KSDATAFORMAT_SPECIFIER_WAVEFORMATEX`.
pub const SPECIFIER_WAVEFORMATEX: Guid = guid("05589F81-C356-11CE-BF01-00AA0055595A");
