//! The GUIDs of PortCls, DirectMusic and kernel streaming, as the public headers and reference pages print them.
//!
//! They are written down here a second time, apart from crate `portcls`, which drivers are built with: a mistake in
//! one is found by the other (see the tests below).

pub(crate) use crate::nt::GUID;

/// Reads a GUID from its bytes in memory.
pub(crate) const fn from_bytes(bytes: [u8; 16]) -> GUID {
    let [a, b, c, d, e, f, g, h, data4 @ ..] = bytes;
    GUID {
        Data1: u32::from_le_bytes([a, b, c, d]),
        Data2: u16::from_le_bytes([e, f]),
        Data3: u16::from_le_bytes([g, h]),
        Data4: data4,
    }
}

/// Returns the bytes of a GUID in memory.
pub(crate) fn to_bytes(guid: &GUID) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&guid.Data1.to_le_bytes());
    bytes[4..6].copy_from_slice(&guid.Data2.to_le_bytes());
    bytes[6..8].copy_from_slice(&guid.Data3.to_le_bytes());
    bytes[8..].copy_from_slice(&guid.Data4);
    bytes
}

/// Shows a GUID as the headers print it.
pub(crate) struct Printed<'a>(pub(crate) &'a GUID);

impl core::fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d, e, g, h, i] = self.0.Data4;
        write!(
            f,
            "{{{:08X}-{:04X}-{:04X}-{a:02X}{b:02X}-{c:02X}{d:02X}{e:02X}{g:02X}{h:02X}{i:02X}}}",
            self.0.Data1, self.0.Data2, self.0.Data3
        )
    }
}

/// Declares GUIDs by the name that the headers give them.
macro_rules! guids {
    ($list:ident: $($name:ident = $value:literal;)+) => {
        $(#[doc = concat!("`", stringify!($name), "`.")] pub(crate) const $name: GUID = GUID::from_u128($value);)+

        /// Those of this group, by name.
        #[cfg(test)]
        const $list: &[(&str, GUID)] = &[$((stringify!($name), $name)),+];
    };
}

/// `IUnknown` as the component object model has it (unknwn.h). punknown.h, which drivers are compiled with, has
/// [another value](IID_IUNKNOWN), and that is the one to ask a driver with.
pub(crate) const COM_IID_IUNKNOWN: GUID = GUID::from_u128(0x00000000_0000_0000_C000_000000000046);

/// Returns whether a caller asks for `IUnknown`, by the value of punknown.h or by COM's.
pub(crate) fn is_unknown(interface: &GUID) -> bool {
    matches!(*interface, IID_IUNKNOWN | COM_IID_IUNKNOWN)
}

// Interfaces (portcls.h, dmusicks.h, punknown.h).
guids! {
    INTERFACES:
    IID_IUNKNOWN = 0x00000000_0000_0000_0000_C00000000046;
    IID_IRESOURCELIST = 0x22C6AC60_851B_11D0_9A7F_00AA0038ACFE;
    IID_IINTERRUPTSYNC = 0x22C6AC63_851B_11D0_9A7F_00AA0038ACFE;
    IID_ISERVICESINK = 0x22C6AC64_851B_11D0_9A7F_00AA0038ACFE;
    IID_ISERVICEGROUP = 0x22C6AC65_851B_11D0_9A7F_00AA0038ACFE;
    IID_IPORT = 0xB4C90A25_5791_11D0_86F9_00A0C911B544;
    IID_IMINIPORT = 0xB4C90A24_5791_11D0_86F9_00A0C911B544;
    IID_IPORTDMUS = 0xC096DF9C_FB09_11D1_81B0_0060083316C1;
    IID_IMINIPORTDMUS = 0xC096DF9D_FB09_11D1_81B0_0060083316C1;
    IID_IMXF = 0xC096DF9E_FB09_11D1_81B0_0060083316C1;
    IID_IALLOCATORMXF = 0xA5F0D62C_B30F_11D2_B7A3_0060083316C1;
    IID_ISYNTHSINKDMUS = 0x1F476974_679B_11D2_8F7D_00C04FBF8FEF;
    IID_IPORTCLSVERSION = 0x7D89A7BB_869B_4567_8DBE_1E168CC853DE;
    IID_IADAPTERPOWERMANAGEMENT = 0x793417D0_35FE_11D1_AD08_00A0C90AB1B0;
    IID_IPOWERNOTIFY = 0x3DD648B8_969F_11D1_95A9_00C04FB925D3;
    IID_IMUSICTECHNOLOGY = 0x80396C3C_CBCB_409B_9F65_4F1E7467CDAF;
    IID_IREGISTRYKEY = 0xE8DA4302_F304_11D0_958B_00C04FB925D3;
    IID_IPORTEVENTS = 0xA80F29C4_5498_11D2_95D9_00C04FB925D3;
    IID_IUNREGISTERSUBDEVICE = 0x16738177_E199_41F9_9A87_ABB2A5432F21;
    IID_IUNREGISTERPHYSICALCONNECTION = 0x6C38E231_2A0D_428D_81F8_07CC428BB9A4;
    IID_IDMACHANNEL = 0x22C6AC61_851B_11D0_9A7F_00AA0038ACFE;
    IID_IPORTMIDI = 0xB4C90A40_5791_11D0_86F9_00A0C911B544;
    IID_IMINIPORTMIDI = 0xB4C90A41_5791_11D0_86F9_00A0C911B544;
    IID_IMINIPORTMIDISTREAM = 0xB4C90A42_5791_11D0_86F9_00A0C911B544;
    IID_IDMACHANNELSLAVE = 0x22C6AC62_851B_11D0_9A7F_00AA0038ACFE;
    IID_IPINCOUNT = 0x5DADB7DC_A2CB_4540_A4A8_425EE4AE9051;
    IID_IPORTTOPOLOGY = 0xB4C90A30_5791_11D0_86F9_00A0C911B544;
    IID_IMINIPORTTOPOLOGY = 0xB4C90A31_5791_11D0_86F9_00A0C911B544;
    IID_IPORTWAVECYCLIC = 0xB4C90A26_5791_11D0_86F9_00A0C911B544;
    IID_IMINIPORTWAVECYCLIC = 0xB4C90A27_5791_11D0_86F9_00A0C911B544;
    IID_IPORTWAVEPCI = 0xB4C90A50_5791_11D0_86F9_00A0C911B544;
    IID_IMINIPORTWAVEPCI = 0xB4C90A52_5791_11D0_86F9_00A0C911B544;
    IID_IPORTWAVERT = 0x339FF909_68A9_4310_B09B_274E96EE4CBD;
    IID_IMINIPORTWAVERT = 0x0F9FC4D6_6061_4F3C_B1FC_075E35F7960A;
    IID_IDRMPORT = 0x286D3DF8_CA22_4E2E_B9BC_20B4F0E201CE;
    IID_IDRMPORT2 = 0x1ACCE59C_7311_4B6B_9FBA_CC3BA59ACDCE;
    IID_IPORTCLSPOWER = 0x47BA0351_BC4B_4869_8134_B74FE17852D8;
    IID_IPORTCLSPNP = 0x0485791B_17F5_4B73_902A_20344860B9CA;
    IID_IPORTCLSSTREAMRESOURCEMANAGER = 0xE1CD9915_CAB1_4103_BB2F_7DC09C9BE942;
    IID_IPORTCLSSTREAMRESOURCEMANAGER2 = 0x0D500BAE_D565_469D_A0E2_F283760D7148;
    IID_IADAPTERPNPMANAGEMENT = 0x706F2368_4086_47F5_B913_57B76EED1A32;
    IID_IMINIPORTPNPNOTIFY = 0x6B735365_9487_464C_93E3_FA2C6391D5A4;
}

// Classes for PcNewPort and PcNewMiniport (portcls.h, dmusicks.h).
guids! {
    CLASSES:
    CLSID_PORTDMUS = 0xB7902FE9_FB0A_11D1_81B0_0060083316C1;
    CLSID_PORTMIDI = 0xB4C90A43_5791_11D0_86F9_00A0C911B544;
    CLSID_PORTTOPOLOGY = 0xB4C90A32_5791_11D0_86F9_00A0C911B544;
    CLSID_PORTWAVECYCLIC = 0xB4C90A2A_5791_11D0_86F9_00A0C911B544;
    CLSID_PORTWAVEPCI = 0xB4C90A54_5791_11D0_86F9_00A0C911B544;
    CLSID_PORTWAVERT = 0xCC9BE57A_EB9E_42B4_94FC_0CAD3DBCE7FA;
    CLSID_MINIPORTDRIVERDMUSUART = 0xD3F0CE1C_FFFC_11D1_81B0_0060083316C1;
    CLSID_MINIPORTDRIVERDMUSUARTCAPTURE = 0xD3F0CE1D_FFFC_11D1_81B0_0060083316C1;
    CLSID_MINIPORTDRIVERUART = 0xB4C90AE1_5791_11D0_86F9_00A0C911B544;
}

// Data formats (ksmedia.h, dmusprop.h).
guids! {
    FORMATS:
    KSDATAFORMAT_TYPE_MUSIC = 0xE725D360_62CC_11CF_A5D6_28DB04C10000;
    KSDATAFORMAT_SUBTYPE_MIDI = 0x1D262760_E957_11CF_A5D6_28DB04C10000;
    KSDATAFORMAT_SUBTYPE_DIRECTMUSIC = 0x1A82F8BC_3F8B_11D2_B774_0060083316C1;
    KSDATAFORMAT_SUBTYPE_MIDI_BUS = 0x2CA15FA0_6CFE_11CF_A5D6_28DB04C10000;
    KSMUSIC_TECHNOLOGY_PORT = 0x86C92E60_62E8_11CF_A5D6_28DB04C10000;
    KSDATAFORMAT_SPECIFIER_NONE = 0x0F6417D6_C318_11D0_A43F_00A0C9223196;
    KSDATAFORMAT_TYPE_AUDIO = 0x73647561_0000_0010_8000_00AA00389B71;
    KSDATAFORMAT_SUBTYPE_PCM = 0x00000001_0000_0010_8000_00AA00389B71;
    KSDATAFORMAT_SPECIFIER_WAVEFORMATEX = 0x05589F81_C356_11CE_BF01_00AA0055595A;
}

// Categories and node types (ks.h, ksmedia.h).
guids! {
    CATEGORIES:
    KSCATEGORY_AUDIO = 0x6994AD04_93EF_11D0_A3CC_00A0C9223196;
    KSCATEGORY_RENDER = 0x65E8773E_8F56_11D0_A3B9_00A0C9223196;
    KSCATEGORY_CAPTURE = 0x65E8773D_8F56_11D0_A3B9_00A0C9223196;
    KSCATEGORY_TOPOLOGY = 0xDDA54A40_1E4C_11D1_A050_405705C10000;
    KSCATEGORY_AUDIO_DEVICE = 0xFBF6F530_07B9_11D2_A71E_0000F8004788;
    KSNODETYPE_SYNTHESIZER = 0xDFF220F3_F70F_11D0_B917_00A0C9223196;
}

// Property sets (ks.h, dmusprop.h), and what KSPROPERTY_PIN_INTERFACES and _MEDIUMS answer.
guids! {
    SETS:
    KSPROPSETID_PIN = 0x8C134960_51AD_11CF_878A_94F801C10000;
    KSPROPSETID_CONNECTION = 0x1D58C920_AC9B_11CF_A5D6_28DB04C10000;
    KSPROPSETID_TOPOLOGY = 0x720D4AC0_7533_11D0_A5D6_28DB04C10000;
    KSPROPSETID_AUDIO = 0x45FFAAA0_6E1B_11D0_BCF2_444553540000;
    KSPROPSETID_SYNTH = 0xFEDFAE25_E46E_11D1_AACE_0000F875AC12;
    KSPROPSETID_SYNTH_DLS = 0xD523FA2C_DEE3_11D1_A789_0000F875AC12;
    KSPROPSETID_SYNTHCLOCK = 0xFEDFAE26_E46E_11D1_AACE_0000F875AC12;
    KSINTERFACESETID_STANDARD = 0x1A8766A0_62CE_11CF_A5D6_28DB04C10000;
    KSMEDIUMSETID_STANDARD = 0x4747B320_62CE_11CF_A5D6_28DB04C10000;
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn guids_equal_those_of_the_portcls_crate() {
        let plain = |name: &str| name.replace('_', "").to_uppercase();
        for (name, guid) in [INTERFACES, CLASSES, FORMATS, CATEGORIES, SETS].concat() {
            let other =
                portcls::guid::ALL.iter().flat_map(|list| list.iter()).find(|(other, _)| plain(other) == plain(name));
            assert_eq!(other.map(|(_, other)| other.to_bytes()), Some(to_bytes(&guid)), "{name}");
        }
    }

    #[test]
    fn a_guid_prints_as_the_headers_print_it() {
        assert_eq!(Printed(&IID_IMXF).to_string(), "{C096DF9E-FB09-11D1-81B0-0060083316C1}");
    }

    #[test]
    fn converts_a_guid_to_its_bytes_and_back() {
        let bytes = to_bytes(&IID_IMXF);
        assert_eq!(bytes[..8], [0x9E, 0xDF, 0x96, 0xC0, 0x09, 0xFB, 0xD1, 0x11]);
        assert_eq!(from_bytes(bytes), IID_IMXF);
    }
}
