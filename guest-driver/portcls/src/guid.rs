//! GUIDs: what they are, and those of PortCls, DMus and kernel streaming, under the names of the C headers.
#![allow(non_upper_case_globals, reason = "GUIDs are searched for under the names of the C headers")]

/// A GUID, laid out as in memory.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guid {
    /// The first eight digits.
    pub data1: u32,
    /// The next four.
    pub data2: u16,
    /// The next four.
    pub data3: u16,
    /// The rest, in order.
    pub data4: [u8; 8],
}

const _: () = assert!(size_of::<Guid>() == 16 && align_of::<Guid>() == 4);

impl Guid {
    /// All zero.
    pub const NULL: Self = Self { data1: 0, data2: 0, data3: 0, data4: [0; 8] };

    /// Reads the usual form, `00000000-0000-0000-0000-000000000000`.
    ///
    /// # Panics
    /// On anything else; it is meant for constants.
    #[must_use]
    pub const fn parse(text: &str) -> Self {
        let text = text.as_bytes();
        assert!(text.len() == 36, "a GUID has 36 characters");
        assert!(text[8] == b'-' && text[13] == b'-' && text[18] == b'-' && text[23] == b'-', "a GUID has four hyphens");
        let mut data4 = [0; 8];
        let mut i = 0;
        while i < 8 {
            let at = if i < 2 { 19 + 2 * i } else { 20 + 2 * i };
            data4[i] = hex(text, at, 2) as u8;
            i += 1;
        }
        Self { data1: hex(text, 0, 8), data2: hex(text, 9, 4) as u16, data3: hex(text, 14, 4) as u16, data4 }
    }

    /// Returns the sixteen bytes of the GUID in the memory of a little-endian machine.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        let [a, b, c, d] = self.data1.to_le_bytes();
        let [e, f] = self.data2.to_le_bytes();
        let [g, h] = self.data3.to_le_bytes();
        let [i, j, k, l, m, n, o, p] = self.data4;
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// Makes a GUID of its sixteen bytes in memory.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        Self {
            data1: u32::from_le_bytes([a, b, c, d]),
            data2: u16::from_le_bytes([e, f]),
            data3: u16::from_le_bytes([g, h]),
            data4: [i, j, k, l, m, n, o, p],
        }
    }
}

const fn hex(text: &[u8], start: usize, count: usize) -> u32 {
    let mut value = 0;
    let mut i = start;
    while i < start + count {
        let digit = match text[i] {
            c @ b'0'..=b'9' => c - b'0',
            c @ b'a'..=b'f' => c - b'a' + 10,
            c @ b'A'..=b'F' => c - b'A' + 10,
            _ => panic!("a GUID has hexadecimal digits"),
        };
        value = value << 4 | digit as u32;
        i += 1;
    }
    value
}

impl core::fmt::Display for Guid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d, e, g, h, i] = self.data4;
        write!(f, "{:08x}-{:04x}-{:04x}-{a:02x}{b:02x}-", self.data1, self.data2, self.data3)?;
        write!(f, "{c:02x}{d:02x}{e:02x}{g:02x}{h:02x}{i:02x}")
    }
}

impl core::fmt::Debug for Guid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match ALL.iter().flat_map(|list| list.iter()).find(|(_, guid)| guid == self) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{{{self}}}"),
        }
    }
}

/// `IUnknown` as the component object model has it (`unknwn.h`). The driver kit's `punknown.h` has another value,
/// [`IID_IUnknown`]; a driver that answers both works with a caller of either.
pub const COM_IID_IUnknown: Guid = Guid::parse("00000000-0000-0000-c000-000000000046");

guids! {
    /// Interfaces (`portcls.h`, `dmusicks.h`).
    INTERFACES;
    /// `IUnknown`, as `punknown.h` defines it, and so everything that is compiled with the driver kit's headers. COM's
    /// own value is [`COM_IID_IUnknown`].
    IID_IUnknown = "00000000-0000-0000-0000-c00000000046";
    /// [`IResourceList`](crate::resource::IResourceList).
    IID_IResourceList = "22c6ac60-851b-11d0-9a7f-00aa0038acfe";
    /// [`IDmaChannel`](crate::services::IDmaChannel).
    IID_IDmaChannel = "22c6ac61-851b-11d0-9a7f-00aa0038acfe";
    /// [`IDmaChannelSlave`](crate::services::IDmaChannelSlave).
    IID_IDmaChannelSlave = "22c6ac62-851b-11d0-9a7f-00aa0038acfe";
    /// [`IInterruptSync`](crate::services::IInterruptSync).
    IID_IInterruptSync = "22c6ac63-851b-11d0-9a7f-00aa0038acfe";
    /// [`IServiceSink`](crate::services::IServiceSink).
    IID_IServiceSink = "22c6ac64-851b-11d0-9a7f-00aa0038acfe";
    /// [`IServiceGroup`](crate::services::IServiceGroup).
    IID_IServiceGroup = "22c6ac65-851b-11d0-9a7f-00aa0038acfe";
    /// [`IRegistryKey`](crate::services::IRegistryKey).
    IID_IRegistryKey = "e8da4302-f304-11d0-958b-00c04fb925d3";
    /// [`IPort`](crate::services::IPort).
    IID_IPort = "b4c90a25-5791-11d0-86f9-00a0c911b544";
    /// [`IMiniport`](crate::services::IMiniport).
    IID_IMiniport = "b4c90a24-5791-11d0-86f9-00a0c911b544";
    /// [`IPortDMus`](crate::dmus::IPortDMus).
    IID_IPortDMus = "c096df9c-fb09-11d1-81b0-0060083316c1";
    /// [`IMiniportDMus`](crate::dmus::IMiniportDMus).
    IID_IMiniportDMus = "c096df9d-fb09-11d1-81b0-0060083316c1";
    /// [`IMXF`](crate::dmus::IMXF).
    IID_IMXF = "c096df9e-fb09-11d1-81b0-0060083316c1";
    /// [`IAllocatorMXF`](crate::dmus::IAllocatorMXF).
    IID_IAllocatorMXF = "a5f0d62c-b30f-11d2-b7a3-0060083316c1";
    /// [`ISynthSinkDMus`](crate::dmus::ISynthSinkDMus).
    IID_ISynthSinkDMus = "1f476974-679b-11d2-8f7d-00c04fbf8fef";
    /// [`IAdapterPowerManagement`](crate::power::IAdapterPowerManagement).
    IID_IAdapterPowerManagement = "793417d0-35fe-11d1-ad08-00a0c90ab1b0";
    /// [`IPowerNotify`](crate::power::IPowerNotify).
    IID_IPowerNotify = "3dd648b8-969f-11d1-95a9-00c04fb925d3";
    /// [`IPinCount`](crate::services::IPinCount).
    IID_IPinCount = "5dadb7dc-a2cb-4540-a4a8-425ee4ae9051";
    /// [`IMusicTechnology`](crate::services::IMusicTechnology).
    IID_IMusicTechnology = "80396c3c-cbcb-409b-9f65-4f1e7467cdaf";
    /// `IPreFetchOffset`.
    IID_IPreFetchOffset = "7000f480-ed44-4e8b-b38a-412f8d7a504d";
    /// [`IPortClsVersion`](crate::services::IPortClsVersion).
    IID_IPortClsVersion = "7d89a7bb-869b-4567-8dbe-1e168cc853de";
    /// [`IPortEvents`](crate::services::IPortEvents).
    IID_IPortEvents = "a80f29c4-5498-11d2-95d9-00c04fb925d3";
    /// `IDrmPort`.
    IID_IDrmPort = "286d3df8-ca22-4e2e-b9bc-20b4f0e201ce";
    /// `IDrmPort2`.
    IID_IDrmPort2 = "1acce59c-7311-4b6b-9fba-cc3ba59acdce";
    /// [`IUnregisterSubdevice`](crate::services::IUnregisterSubdevice).
    IID_IUnregisterSubdevice = "16738177-e199-41f9-9a87-abb2a5432f21";
    /// [`IUnregisterPhysicalConnection`](crate::services::IUnregisterPhysicalConnection).
    IID_IUnregisterPhysicalConnection = "6c38e231-2a0d-428d-81f8-07cc428bb9a4";
    /// `IPortMidi`.
    IID_IPortMidi = "b4c90a40-5791-11d0-86f9-00a0c911b544";
    /// `IMiniportMidi`.
    IID_IMiniportMidi = "b4c90a41-5791-11d0-86f9-00a0c911b544";
    /// `IMiniportMidiStream`.
    IID_IMiniportMidiStream = "b4c90a42-5791-11d0-86f9-00a0c911b544";
    /// `IPortTopology`, which adds nothing to [`IPort`](crate::services::IPort).
    IID_IPortTopology = "b4c90a30-5791-11d0-86f9-00a0c911b544";
    /// [`IMiniportTopology`](crate::wave::IMiniportTopology).
    IID_IMiniportTopology = "b4c90a31-5791-11d0-86f9-00a0c911b544";
    /// [`IPortWaveCyclic`](crate::wave::IPortWaveCyclic).
    IID_IPortWaveCyclic = "b4c90a26-5791-11d0-86f9-00a0c911b544";
    /// [`IMiniportWaveCyclic`](crate::wave::IMiniportWaveCyclic).
    IID_IMiniportWaveCyclic = "b4c90a27-5791-11d0-86f9-00a0c911b544";
    /// [`IPortWavePci`](crate::wave::IPortWavePci).
    IID_IPortWavePci = "b4c90a50-5791-11d0-86f9-00a0c911b544";
    /// [`IMiniportWavePci`](crate::wave::IMiniportWavePci).
    IID_IMiniportWavePci = "b4c90a52-5791-11d0-86f9-00a0c911b544";
    /// `IPortWaveRT`, which adds nothing to [`IPort`](crate::services::IPort).
    IID_IPortWaveRT = "339ff909-68a9-4310-b09b-274e96ee4cbd";
    /// [`IMiniportWaveRT`](crate::wave::IMiniportWaveRT).
    IID_IMiniportWaveRT = "0f9fc4d6-6061-4f3c-b1fc-075e35f7960a";
    /// `IPortClsPower`.
    IID_IPortClsPower = "47ba0351-bc4b-4869-8134-b74fe17852d8";
    /// `IPortClsPnp`.
    IID_IPortClsPnp = "0485791b-17f5-4b73-902a-20344860b9ca";
    /// `IPortClsStreamResourceManager`.
    IID_IPortClsStreamResourceManager = "e1cd9915-cab1-4103-bb2f-7dc09c9be942";
    /// `IPortClsStreamResourceManager2`.
    IID_IPortClsStreamResourceManager2 = "0d500bae-d565-469d-a0e2-f283760d7148";
    /// [`IAdapterPnpManagement`](crate::power::IAdapterPnpManagement).
    IID_IAdapterPnpManagement = "706f2368-4086-47f5-b913-57b76eed1a32";
    /// [`IMiniportPnpNotify`](crate::power::IMiniportPnpNotify).
    IID_IMiniportPnpNotify = "6b735365-9487-464c-93e3-fa2c6391d5a4";
}

guids! {
    /// Classes that `PcNewPort` and `PcNewMiniport` know.
    CLASSES;
    /// The DMus port.
    CLSID_PortDMus = "b7902fe9-fb0a-11d1-81b0-0060083316c1";
    /// The MIDI port; since Windows XP the same as the DMus port.
    CLSID_PortMidi = "b4c90a43-5791-11d0-86f9-00a0c911b544";
    /// The topology port.
    CLSID_PortTopology = "b4c90a32-5791-11d0-86f9-00a0c911b544";
    /// The WaveCyclic port.
    CLSID_PortWaveCyclic = "b4c90a2a-5791-11d0-86f9-00a0c911b544";
    /// The WavePci port.
    CLSID_PortWavePci = "b4c90a54-5791-11d0-86f9-00a0c911b544";
    /// The WaveRT port.
    CLSID_PortWaveRT = "cc9be57a-eb9e-42b4-94fc-0cad3dbce7fa";
    /// The system's MPU-401 miniport.
    CLSID_MiniportDriverDMusUART = "d3f0ce1c-fffc-11d1-81b0-0060083316c1";
    /// Its capture half.
    CLSID_MiniportDriverDMusUARTCapture = "d3f0ce1d-fffc-11d1-81b0-0060083316c1";
    /// The system's FM miniport.
    CLSID_MiniportDriverFmSynth = "b4c90ae0-5791-11d0-86f9-00a0c911b544";
    /// The same with volume.
    CLSID_MiniportDriverFmSynthWithVol = "e5a3c139-f0f2-11d1-81af-0060083316c1";
    /// The old UART miniport.
    CLSID_MiniportDriverUart = "b4c90ae1-5791-11d0-86f9-00a0c911b544";
}

guids! {
    /// Formats, technologies, categories, node kinds, names and property sets of kernel streaming (`ks.h`,
    /// `ksmedia.h`).
    STREAMING;
    /// Music.
    KSDATAFORMAT_TYPE_MUSIC = "e725d360-62cc-11cf-a5d6-28db04c10000";
    /// Raw MIDI.
    KSDATAFORMAT_SUBTYPE_MIDI = "1d262760-e957-11cf-a5d6-28db04c10000";
    /// A MIDI cable.
    KSDATAFORMAT_SUBTYPE_MIDI_BUS = "2ca15fa0-6cfe-11cf-a5d6-28db04c10000";
    /// No format block follows.
    KSDATAFORMAT_SPECIFIER_NONE = "0f6417d6-c318-11d0-a43f-00a0c9223196";
    /// Audio.
    KSDATAFORMAT_TYPE_AUDIO = "73647561-0000-0010-8000-00aa00389b71";
    /// PCM.
    KSDATAFORMAT_SUBTYPE_PCM = "00000001-0000-0010-8000-00aa00389b71";
    /// Analogue audio.
    KSDATAFORMAT_SUBTYPE_ANALOG = "6dba3190-67bd-11cf-a0f7-0020afd156e4";
    /// A `WAVEFORMATEX` follows.
    KSDATAFORMAT_SPECIFIER_WAVEFORMATEX = "05589f81-c356-11ce-bf01-00aa0055595a";
    /// A MIDI port.
    KSMUSIC_TECHNOLOGY_PORT = "86c92e60-62e8-11cf-a5d6-28db04c10000";
    /// A square-wave synthesizer.
    KSMUSIC_TECHNOLOGY_SQSYNTH = "0ecf4380-62e9-11cf-a5d6-28db04c10000";
    /// An FM synthesizer.
    KSMUSIC_TECHNOLOGY_FMSYNTH = "252c5c80-62e9-11cf-a5d6-28db04c10000";
    /// A wavetable synthesizer.
    KSMUSIC_TECHNOLOGY_WAVETABLE = "394ec7c0-62e9-11cf-a5d6-28db04c10000";
    /// A software synthesizer.
    KSMUSIC_TECHNOLOGY_SWSYNTH = "37407736-3620-11d1-85d3-0000f8754380";
    /// Audio devices; every audio filter has it.
    KSCATEGORY_AUDIO = "6994ad04-93ef-11d0-a3cc-00a0c9223196";
    /// Devices that play.
    KSCATEGORY_RENDER = "65e8773e-8f56-11d0-a3b9-00a0c9223196";
    /// Devices that capture.
    KSCATEGORY_CAPTURE = "65e8773d-8f56-11d0-a3b9-00a0c9223196";
    /// Devices with a synthesizer of their own.
    KSCATEGORY_SYNTHESIZER = "dff220f3-f70f-11d0-b917-00a0c9223196";
    /// Devices that turn data into other data.
    KSCATEGORY_DATATRANSFORM = "2eb07ea0-7e70-11d0-a5d6-28db04c10000";
    /// Topology filters.
    KSCATEGORY_TOPOLOGY = "dda54a40-1e4c-11d1-a050-405705c10000";
    /// Mixers.
    KSCATEGORY_MIXER = "ad809c00-7b88-11d0-a5d6-28db04c10000";
    /// SysAudio's own.
    KSCATEGORY_AUDIO_DEVICE = "fbf6f530-07b9-11d2-a71e-0000f8004788";
    /// SysAudio.
    KSCATEGORY_SYSAUDIO = "a7c7a5b1-5af3-11d1-9ced-00a024bf0407";
    /// The device is named after its pin.
    KSCATEGORY_WDMAUD_USE_PIN_NAME = "47a4fa20-a251-11d1-a050-0000f8004788";
    /// The MIDI device to play to.
    KSCATEGORY_PREFERRED_MIDIOUT_DEVICE = "d6c50674-72c1-11d2-9755-0000f8004788";
    /// A synthesizer node.
    KSNODETYPE_SYNTHESIZER = "dff220f3-f70f-11d0-b917-00a0c9223196";
    /// A software synthesizer node.
    KSNODETYPE_SWSYNTH = "423274a0-8b81-11d1-a050-0000f8004788";
    /// A software MIDI node.
    KSNODETYPE_SWMIDI = "cb9befa0-a251-11d1-a050-0000f8004788";
    /// Pin name: MIDI.
    KSAUDFNAME_MIDI = "185fedf8-9905-11d1-95a9-00c04fb925d3";
    /// Pin properties.
    KSPROPSETID_Pin = "8c134960-51ad-11cf-878a-94f801c10000";
    /// Connection properties.
    KSPROPSETID_Connection = "1d58c920-ac9b-11cf-a5d6-28db04c10000";
    /// Properties of audio nodes, such as volume and mute.
    KSPROPSETID_Audio = "45ffaaa0-6e1b-11d0-bcf2-444553540000";
    /// Topology properties.
    KSPROPSETID_Topology = "720d4ac0-7533-11d0-a5d6-28db04c10000";
    /// Pin interfaces.
    KSINTERFACESETID_Standard = "1a8766a0-62ce-11cf-a5d6-28db04c10000";
    /// Pin mediums.
    KSMEDIUMSETID_Standard = "4747b320-62ce-11cf-a5d6-28db04c10000";
}

guids! {
    /// DirectMusic's own, from `dmusprop.h` and `dmusicks.h`.
    DIRECTMUSIC;
    /// DirectMusic events.
    KSDATAFORMAT_SUBTYPE_DIRECTMUSIC = "1a82f8bc-3f8b-11d2-b774-0060083316c1";
    /// A DirectMusic synthesizer; reserved, used as a node's name.
    KSNODETYPE_DMSYNTH = "94824f88-6183-11d2-8f7a-00c04fbf8fef";
    /// Reserved.
    KSNODETYPE_DMSYNTH_CAPS = "bca2a2f1-93c6-11d2-ba1d-0000f875ac12";
    /// Pin name: MPU-401 out.
    KSAUDFNAME_DMUSIC_MPU_OUT = "a4df0eb5-bac9-11d2-b7a8-0060083316c1";
    /// Pin name: MPU-401 in.
    KSAUDFNAME_DMUSIC_MPU_IN = "b2ec0a7d-bac9-11d2-b7a8-0060083316c1";
    /// Synthesizer properties.
    KSPROPSETID_Synth = "fedfae25-e46e-11d1-aace-0000f875ac12";
    /// Clock properties; the port answers them.
    KSPROPSETID_SynthClock = "fedfae26-e46e-11d1-aace-0000f875ac12";
    /// DLS properties.
    KSPROPSETID_Synth_Dls = "d523fa2c-dee3-11d1-a789-0000f875ac12";
    /// The synthesizer has a General MIDI set.
    GUID_DMUS_PROP_GM_Hardware = "178f2f24-c364-11d1-a760-0000f875ac12";
    /// The synthesizer has a GS set.
    GUID_DMUS_PROP_GS_Hardware = "178f2f25-c364-11d1-a760-0000f875ac12";
    /// The synthesizer has an XG set.
    GUID_DMUS_PROP_XG_Hardware = "178f2f26-c364-11d1-a760-0000f875ac12";
    /// The synthesizer takes DLS level 1.
    GUID_DMUS_PROP_DLS1 = "178f2f27-c364-11d1-a760-0000f875ac12";
    /// Sample memory.
    GUID_DMUS_PROP_SampleMemorySize = "178f2f28-c364-11d1-a760-0000f875ac12";
    /// The synthesizer can do XG.
    GUID_DMUS_PROP_XG_Capable = "6496aba1-61b0-11d2-afa6-00aa0024d8b6";
    /// The synthesizer can do GS.
    GUID_DMUS_PROP_GS_Capable = "6496aba2-61b0-11d2-afa6-00aa0024d8b6";
    /// The synthesizer takes DLS level 2.
    GUID_DMUS_PROP_DLS2 = "f14599e5-4689-11d2-afa6-00aa0024d8b6";
    /// The synthesizer takes `INSTRUMENT2` downloads.
    GUID_DMUS_PROP_INSTRUMENT2 = "865fd372-9f67-11d2-872a-00600893b1bd";
    /// Reverb parameters.
    GUID_DMUS_PROP_WavesReverb = "04cb5622-32e5-11d2-afa6-00aa0024d8b6";
    /// Effects.
    GUID_DMUS_PROP_Effects = "cda8d611-684a-11d2-871e-00600893b1bd";
    /// Capabilities of a legacy device.
    GUID_DMUS_PROP_LegacyCaps = "cfa7cdc2-00a1-11d2-aad5-0000f875ac12";
    /// Sample playback rate.
    GUID_DMUS_PROP_SamplePlaybackRate = "2a91f713-a4bf-11d2-bbdf-00600833dbd8";
    /// Write latency.
    GUID_DMUS_PROP_WriteLatency = "268a0fa0-60f2-11d2-afa6-00aa0024d8b6";
    /// Write period.
    GUID_DMUS_PROP_WritePeriod = "268a0fa1-60f2-11d2-afa6-00aa0024d8b6";
    /// Volume.
    GUID_DMUS_PROP_Volume = "fedfae25-e46e-11d1-aace-0000f875ac12";
}

/// Every GUID that this crate states, by list.
pub const ALL: [&[(&str, Guid)]; 4] = [INTERFACES, CLASSES, STREAMING, DIRECTMUSIC];
