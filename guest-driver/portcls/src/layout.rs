//! Documented sizes and offsets, and the list of them all.

use crate::{descriptor, download, event, ks, power, resource, synth, wdm};

/// A size or offset in bytes, for both pointer widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// On x86-64.
    pub bits64: usize,
    /// On 32-bit x86, by Windows' rules of alignment.
    pub bits32: usize,
}

/// A field's offset.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The field's name in the C headers.
    pub name: &'static str,
    /// Its offset.
    pub offset: Figure,
}

/// A structure's layout.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The structure's name in the C headers.
    pub name: &'static str,
    /// Its size.
    pub size: Figure,
    /// Its fields.
    pub fields: &'static [Field],
}

/// Every layout that this crate states.
pub const ALL: &[Layout] = &[
    resource::CmPartialResourceDescriptor::LAYOUT,
    power::PowerState::LAYOUT,
    power::DeviceCapabilities::LAYOUT,
    event::DmusKernelEvent::LAYOUT,
    event::DmusEventHeader::LAYOUT,
    descriptor::PcFilterDescriptor::LAYOUT,
    descriptor::PcPinDescriptor::LAYOUT,
    descriptor::KsPinDescriptor::LAYOUT,
    descriptor::PcNodeDescriptor::LAYOUT,
    descriptor::PcConnectionDescriptor::LAYOUT,
    descriptor::PcAutomationTable::LAYOUT,
    descriptor::PcPropertyItem::LAYOUT,
    descriptor::PcMethodItem::LAYOUT,
    descriptor::PcEventItem::LAYOUT,
    descriptor::PcPropertyRequest::LAYOUT,
    descriptor::PcEventRequest::LAYOUT,
    descriptor::PcMethodRequest::LAYOUT,
    ks::KsDataFormat::LAYOUT,
    ks::KsDataRangeMusic::LAYOUT,
    ks::KsDataRangeAudio::LAYOUT,
    ks::WaveFormatEx::LAYOUT,
    ks::KsIdentifier::LAYOUT,
    ks::KsNodeProperty::LAYOUT,
    ks::KsPPin::LAYOUT,
    ks::KsPinConnect::LAYOUT,
    ks::KsPriority::LAYOUT,
    ks::KsTime::LAYOUT,
    ks::KsStreamHeader::LAYOUT,
    ks::KsMusicFormat::LAYOUT,
    ks::KsPropertyDescription::LAYOUT,
    synth::SynthCaps::LAYOUT,
    synth::SynthPortParams::LAYOUT,
    synth::SynthStats::LAYOUT,
    synth::SynthBuffer::LAYOUT,
    synth::SynthDownload::LAYOUT,
    synth::SynthVoicePriorityInstance::LAYOUT,
    synth::SynthReverbParams::LAYOUT,
    download::DownloadInfo::LAYOUT,
    download::Instrument::LAYOUT,
    download::Region::LAYOUT,
    download::RegionRange::LAYOUT,
    download::WaveLink::LAYOUT,
    download::WaveSample::LAYOUT,
    download::WaveLoop::LAYOUT,
    download::Articulation::LAYOUT,
    download::Articulation2::LAYOUT,
    download::ArticulationParams::LAYOUT,
    download::LfoParams::LAYOUT,
    download::VolumeEnvelopeParams::LAYOUT,
    download::PitchEnvelopeParams::LAYOUT,
    download::MiscParams::LAYOUT,
    download::ConnectionList::LAYOUT,
    download::Connection::LAYOUT,
    download::ExtensionChunk::LAYOUT,
    download::Copyright::LAYOUT,
    download::Wave::LAYOUT,
    download::WaveData::LAYOUT,
    download::WaveArticulation::LAYOUT,
    download::WaveDownload::LAYOUT,
    download::NoteRange::LAYOUT,
    wdm::KEvent::LAYOUT,
    wdm::IoStatusBlock::LAYOUT,
    wdm::IoStackLocation::LAYOUT,
    wdm::BusInterfaceStandard::LAYOUT,
    wdm::DmaAdapter::LAYOUT,
    wdm::UnicodeString::LAYOUT,
];

/// Structures of which only some fields are written down: their sizes are not stated.
pub const BEGINNINGS: &[Layout] = &[
    wdm::Irp::BEGINNING,
    wdm::DeviceObject::BEGINNING,
    wdm::DeviceDescription::BEGINNING,
    wdm::DmaOperations::BEGINNING,
];
