//! The kinds of ports that `PcNewPort` makes, and what they demand of their miniports.

use super::guids::{self, GUID};

/// A kind of port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `IPortDMus`, which since Windows XP is `IPortMidi` too (PcNewPort).
    DMus,
    /// `IPortTopology`.
    Topology,
    /// `IPortWaveCyclic`.
    WaveCyclic,
    /// `IPortWavePci`.
    WavePci,
    /// `IPortWaveRT`.
    WaveRt,
}

/// Every class that the page of `PcNewPort` lists.
const BY_CLASS: [(GUID, Kind); 6] = [
    (guids::CLSID_PORTDMUS, Kind::DMus),
    (guids::CLSID_PORTMIDI, Kind::DMus),
    (guids::CLSID_PORTTOPOLOGY, Kind::Topology),
    (guids::CLSID_PORTWAVECYCLIC, Kind::WaveCyclic),
    (guids::CLSID_PORTWAVEPCI, Kind::WavePci),
    (guids::CLSID_PORTWAVERT, Kind::WaveRt),
];

/// The categories of a filter that names none, as the public samples of each kind of miniport count on ("NULL: use
/// defaults").
const DEFAULT_CATEGORIES: &[GUID] = &[guids::KSCATEGORY_AUDIO, guids::KSCATEGORY_RENDER, guids::KSCATEGORY_CAPTURE];

/// Those of a topology filter.
const DEFAULT_TOPOLOGY_CATEGORIES: &[GUID] = &[guids::KSCATEGORY_AUDIO, guids::KSCATEGORY_TOPOLOGY];

impl Kind {
    /// Returns the kind of a class.
    pub(crate) fn of_class(class: &GUID) -> Option<Self> {
        BY_CLASS.iter().find(|(known, _)| known == class).map(|(_, kind)| *kind)
    }

    /// Returns the name of the port's interface.
    pub(crate) const fn port_name(self) -> &'static str {
        match self {
            Self::DMus => "IPortDMus",
            Self::Topology => "IPortTopology",
            Self::WaveCyclic => "IPortWaveCyclic",
            Self::WavePci => "IPortWavePci",
            Self::WaveRt => "IPortWaveRT",
        }
    }

    /// Returns the id of the port's interface.
    pub(crate) const fn port(self) -> GUID {
        match self {
            Self::DMus => guids::IID_IPORTDMUS,
            Self::Topology => guids::IID_IPORTTOPOLOGY,
            Self::WaveCyclic => guids::IID_IPORTWAVECYCLIC,
            Self::WavePci => guids::IID_IPORTWAVEPCI,
            Self::WaveRt => guids::IID_IPORTWAVERT,
        }
    }

    /// Returns the name of the miniport's interface.
    pub(crate) const fn miniport_name(self) -> &'static str {
        match self {
            Self::DMus => "IMiniportDMus",
            Self::Topology => "IMiniportTopology",
            Self::WaveCyclic => "IMiniportWaveCyclic",
            Self::WavePci => "IMiniportWavePci",
            Self::WaveRt => "IMiniportWaveRT",
        }
    }

    /// Returns the id of the miniport's interface.
    pub(crate) const fn miniport(self) -> GUID {
        match self {
            Self::DMus => guids::IID_IMINIPORTDMUS,
            Self::Topology => guids::IID_IMINIPORTTOPOLOGY,
            Self::WaveCyclic => guids::IID_IMINIPORTWAVECYCLIC,
            Self::WavePci => guids::IID_IMINIPORTWAVEPCI,
            Self::WaveRt => guids::IID_IMINIPORTWAVERT,
        }
    }

    /// Returns how many methods the miniport's interface has, `IUnknown`'s included (portcls.h, dmusicks.h).
    pub(crate) const fn miniport_methods(self) -> usize {
        match self {
            Self::Topology => 6,
            Self::WaveCyclic => 7,
            Self::DMus | Self::WavePci | Self::WaveRt => 8,
        }
    }

    /// Returns whether streams of music pass through the port.
    pub(crate) const fn is_music(self) -> bool {
        matches!(self, Self::DMus)
    }

    /// Returns whether streams of sound pass through the port: this host has no data path for them.
    pub(crate) const fn is_wave(self) -> bool {
        matches!(self, Self::WaveCyclic | Self::WavePci | Self::WaveRt)
    }

    /// Returns the categories of a filter that names none.
    pub(crate) const fn default_categories(self) -> &'static [GUID] {
        match self {
            Self::Topology => DEFAULT_TOPOLOGY_CATEGORIES,
            _ => DEFAULT_CATEGORIES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Kind; 5] = [Kind::DMus, Kind::Topology, Kind::WaveCyclic, Kind::WavePci, Kind::WaveRt];

    #[test]
    fn every_documented_class_has_its_port_and_no_other_class_has_one() {
        assert!(BY_CLASS.iter().all(|(class, kind)| Kind::of_class(class) == Some(*kind)));
        assert!(ALL.iter().all(|kind| BY_CLASS.iter().any(|(_, of_class)| of_class == kind)));
        assert_eq!(Kind::of_class(&guids::CLSID_MINIPORTDRIVERUART), None);
    }

    #[test]
    fn miniports_have_the_methods_of_the_portcls_crate() {
        for kind in ALL {
            let found = portcls::interface::ALL.iter().find(|interface| interface.name == kind.miniport_name());
            assert_eq!(found.map(|interface| interface.slots), Some(kind.miniport_methods()), "{kind:?}");
        }
    }
}
