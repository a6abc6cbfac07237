//! Checks what the parts of a descriptor mean to one another (rules 27 to 30).

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Filter, Pin};
use crate::contract::note::note;
use crate::contract::rules::Rule;
use crate::contract::violation::Violation;
use crate::contract::{ports, rules};
use crate::portcls::com::abi::{FILTER_NODE, data_flow, property_type};
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::kind::Kind;

/// Most pins, nodes, connections, categories and property items that a descriptor may name: far above any real one, low
/// `SYNTH_CAPS` in KSPROPSETID_Synth (dmusprop.h).
pub(super) const SYNTH_CAPS: u32 = 2;

/// `SYNTH_PORTPARAMETERS` in KSPROPSETID_Synth (dmusprop.h).
pub(super) const SYNTH_PORTPARAMETERS: u32 = 3;

/// `KSNODEPIN_STANDARD_OUT` and `_IN` (ksmedia.h).
pub(super) const NODE_OUT: u32 = 0;
/// `KSNODEPIN_STANDARD_IN` (ksmedia.h).
pub(super) const NODE_IN: u32 = 1;

impl Filter {
    /// Returns the filter as a port of this kind takes it: one without categories has the port's own.
    pub(crate) fn of(mut self, kind: Kind) -> Self {
        if self.categories.is_empty() {
            self.categories = kind.default_categories().to_vec();
        }
        self
    }

    /// Checks what the parts mean to one another (rules 27 to 30, 322 and 323).
    ///
    /// # Errors
    /// The [`Violation`] of the first of the rules that is broken.
    pub(crate) fn check(&self, kind: Kind) -> Result<(), Violation> {
        if kind.is_music() {
            self.check_music_pins()?;
        }
        self.check_connections(kind)?;
        if kind.is_music() {
            self.check_synthesizers()?;
            return self.check_categories();
        }
        if kind == Kind::Topology {
            self.check_topology_pins()?;
        }
        self.check_categories_of(kind)
    }

    /// Returns the rules that a filter of a port of this kind was put to the test of when it has been read and checked.
    pub(crate) fn rules(kind: Kind) -> &'static [&'static Rule] {
        match kind {
            Kind::DMus => &[
                rules::DESCRIPTION_CONSTANT,
                rules::DESCRIPTOR_SIZES,
                rules::PIN_DESCRIPTORS,
                rules::MUSIC_PIN,
                rules::CONNECTIONS,
                rules::SYNTHESIZER_NODE,
                rules::CATEGORIES,
            ],
            Kind::Topology => &[
                rules::DESCRIPTION_CONSTANT,
                rules::DESCRIPTOR_SIZES,
                rules::PIN_DESCRIPTORS,
                rules::CONNECTIONS,
                ports::TOPOLOGY_PINS,
                ports::CATEGORIES,
            ],
            Kind::WaveCyclic | Kind::WavePci | Kind::WaveRt => &[
                rules::DESCRIPTION_CONSTANT,
                rules::DESCRIPTOR_SIZES,
                rules::PIN_DESCRIPTORS,
                rules::CONNECTIONS,
                ports::CATEGORIES,
            ],
        }
    }

    fn check_topology_pins(&self) -> Result<(), Violation> {
        let instantiated = |pin: &Pin| [pin.min_filter, pin.max_filter, pin.max_global].iter().any(|count| *count != 0);
        match self.pins.iter().position(instantiated) {
            Some(pin) => Err(Violation::new(
                ports::TOPOLOGY_PINS,
                format!("pin {pin} of a Topology filter can be instantiated {} times", self.pins[pin].max_filter),
                "set MaxGlobalInstanceCount, MaxFilterInstanceCount and MinFilterInstanceCount of bridge pins to 0",
            )),
            None => Ok(()),
        }
    }

    fn check_categories_of(&self, kind: Kind) -> Result<(), Violation> {
        let (needed, name) = match kind {
            Kind::Topology => (guids::KSCATEGORY_TOPOLOGY, "KSCATEGORY_TOPOLOGY"),
            _ => (guids::KSCATEGORY_AUDIO, "KSCATEGORY_AUDIO"),
        };
        let broken = |what: String| {
            Err(Violation::new(
                ports::CATEGORIES,
                what,
                "list what the filter is, or no category at all: the port has its own",
            ))
        };
        if self.categories.contains(&guids::KSCATEGORY_AUDIO_DEVICE) {
            return broken("KSCATEGORY_AUDIO_DEVICE is among the categories; it is SysAudio's".into());
        }
        if !self.categories.contains(&needed) {
            return broken(format!("{name} is not among the {} categories", self.categories.len()));
        }
        Ok(())
    }

    fn check_music_pins(&self) -> Result<(), Violation> {
        let music = &guids::KSDATAFORMAT_TYPE_MUSIC;
        let subs = [&guids::KSDATAFORMAT_SUBTYPE_MIDI, &guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC];
        // A filter may only capture, and may have a wildcard in place of a format.
        let takes_music = |pin: &Pin| !pin.is_bridge() && subs.iter().any(|sub| pin.can_carry(music, sub));
        if !self.pins.iter().any(takes_music) {
            return Err(Violation::new(
                rules::MUSIC_PIN,
                "no pin that clients can connect to has a MIDI or DirectMusic data range",
                "offer a pin with KSDATAFORMAT_TYPE_MUSIC that clients can connect to",
            ));
        }
        let pin_for =
            |sub: &GUID| self.pins.iter().position(|pin| pin.flows_in() && !pin.is_bridge() && pin.carries(music, sub));
        let [midi, directmusic] = subs.map(pin_for);
        match (midi, directmusic) {
            (Some(midi), Some(directmusic)) if midi > directmusic => Err(Violation::new(
                rules::MUSIC_PIN,
                format!("the MIDI pin is pin {midi}, after the DirectMusic pin {directmusic}"),
                "put the MIDI pin first, or WDMAud does not find it",
            )),
            _ => Ok(()),
        }
    }

    fn check_connections(&self, kind: Kind) -> Result<(), Violation> {
        for (index, connection) in self.connections.iter().enumerate() {
            self.check_end(index, connection.from_node, connection.from_pin, data_flow::IN, NODE_OUT)?;
            self.check_end(index, connection.to_node, connection.to_pin, data_flow::OUT, NODE_IN)?;
        }
        if !kind.is_music() {
            // No page demands a connection of every control of a card.
            return Ok(());
        }
        for node in 0..self.nodes.len() as u32 {
            if !self.connections.iter().any(|connection| connection.from_node == node || connection.to_node == node) {
                note(rules::CONNECTIONS, "IMiniport::GetDescription", format!("node {node} has no connection"));
            }
        }
        for (pin, factory) in self.pins.iter().enumerate() {
            let directmusic = factory.flows_in()
                && factory.carries(&guids::KSDATAFORMAT_TYPE_MUSIC, &guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC);
            if directmusic && !self.leads_to_synthesizer(pin as u32) {
                return Err(connection_broken(format!(
                    "the DirectMusic pin {pin} is not connected to a node of type KSNODETYPE_SYNTHESIZER"
                )));
            }
        }
        Ok(())
    }

    /// Checks that one end of a connection is a filter pin of the given flow, or a node's pin on the given side.
    fn check_end(&self, index: usize, node: u32, pin: u32, flow: u32, side: u32) -> Result<(), Violation> {
        if node == FILTER_NODE {
            let Some(factory) = self.pins.get(pin as usize) else {
                return Err(connection_broken(format!(
                    "connection {index} names filter pin {pin}, which does not exist"
                )));
            };
            if factory.data_flow != flow {
                return Err(connection_broken(format!(
                    "connection {index} uses filter pin {pin} against its direction, which is {}",
                    if factory.data_flow == data_flow::IN { "IN" } else { "OUT" }
                )));
            }
        } else if node as usize >= self.nodes.len() {
            return Err(connection_broken(format!("connection {index} names node {node}, which does not exist")));
        } else if (pin == NODE_IN) != (side == NODE_IN) && (pin == NODE_OUT || pin == NODE_IN) {
            return Err(connection_broken(format!(
                "connection {index} uses pin {pin} of node {node} against its direction"
            )));
        }
        Ok(())
    }

    /// Returns whether a synthesizer node is on the way from a filter pin, behind whatever other nodes.
    fn leads_to_synthesizer(&self, pin: u32) -> bool {
        let mut reached = vec![false; self.nodes.len()];
        let from_pin = self.connections.iter().filter(|edge| edge.from_node == FILTER_NODE && edge.from_pin == pin);
        let mut open: Vec<u32> = from_pin.map(|edge| edge.to_node).collect();
        while let Some(node) = open.pop() {
            let Some(found) = self.nodes.get(node as usize) else { continue };
            if found.node_type == guids::KSNODETYPE_SYNTHESIZER {
                return true;
            }
            if !core::mem::replace(&mut reached[node as usize], true) {
                open.extend(self.connections.iter().filter(|edge| edge.from_node == node).map(|edge| edge.to_node));
            }
        }
        false
    }

    fn check_synthesizers(&self) -> Result<(), Violation> {
        // The properties are what DirectMusic asks for; a filter without a pin of its is a legacy device.
        let is_directmusic =
            |pin: &Pin| pin.carries(&guids::KSDATAFORMAT_TYPE_MUSIC, &guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC);
        if !self.pins.iter().any(is_directmusic) {
            return Ok(());
        }
        for (index, node) in self.nodes.iter().enumerate() {
            if node.node_type != guids::KSNODETYPE_SYNTHESIZER {
                continue;
            }
            for (id, name) in
                [(SYNTH_CAPS, "KSPROPERTY_SYNTH_CAPS"), (SYNTH_PORTPARAMETERS, "KSPROPERTY_SYNTH_PORTPARAMETERS")]
            {
                let offered = node.properties.iter().any(|property| {
                    property.set == guids::KSPROPSETID_SYNTH
                        && property.id == id
                        && property.flags & property_type::GET != 0
                });
                if !offered {
                    return Err(Violation::new(
                        rules::SYNTHESIZER_NODE,
                        format!("node {index} is a synthesizer without {name} for GET"),
                        "list the property, with PCPROPERTY_ITEM_FLAG_GET, in the node's automation table",
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_categories(&self) -> Result<(), Violation> {
        let at = |category: &GUID| self.categories.iter().position(|entry| entry == category);
        if at(&guids::KSCATEGORY_AUDIO_DEVICE).is_some() {
            return Err(Violation::new(
                rules::CATEGORIES,
                "KSCATEGORY_AUDIO_DEVICE is among the categories; it is SysAudio's",
                "list what the filter does: KSCATEGORY_AUDIO, KSCATEGORY_RENDER, KSCATEGORY_SYNTHESIZER",
            ));
        }
        let odd = match (at(&guids::KSCATEGORY_AUDIO), at(&guids::KSCATEGORY_RENDER)) {
            // None at all is the port's default.
            (None, _) if !self.categories.is_empty() => "KSCATEGORY_AUDIO is not among the categories",
            (Some(audio), Some(render)) if render < audio => {
                "KSCATEGORY_RENDER stands before KSCATEGORY_AUDIO; the samples have it behind"
            }
            _ => return Ok(()),
        };
        note(rules::CATEGORIES, "IMiniport::GetDescription", odd);
        Ok(())
    }
}

fn connection_broken(what: String) -> Violation {
    Violation::new(
        rules::CONNECTIONS,
        what,
        "connect filter IN pins or node outputs to node inputs or filter OUT pins, and each DirectMusic pin to its synthesizer",
    )
}
