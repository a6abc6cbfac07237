//! Property requests.

use guest_protocol::{Caller as GuestCaller, PropertyRequest, PropertyVerb, Request};

use super::side::StepError;
use super::state::Engine;
use crate::playback::PlaybackError;
use crate::steps::document::{Caller, CodedStatus, PropertyStep};
use crate::testbed::synthesizer::synthesizer_nodes;

/// Bytes of a `ULONG`.
const ULONG: usize = 4;

impl Caller {
    /// Returns the caller as the guest knows it.
    pub(super) const fn of_guest(self) -> GuestCaller {
        match self {
            Self::Kernel => GuestCaller::Kernel,
            Self::User64 => GuestCaller::User64,
            Self::User32 => GuestCaller::User32,
        }
    }
}

impl Engine<'_, '_> {
    /// Makes a property request, and compares its answer.
    pub(super) fn property(&mut self, property: &PropertyStep) -> Result<String, StepError> {
        let name = self.stream_name(property.stream.as_ref(), None)?;
        let node = match property.synthesizer {
            Some(_) => Some(self.synthesizer_node()?),
            None => property.node,
        };
        let Some(stream) = self.streams.get(&name) else {
            return Err(StepError::Unexpected(format!("stream `{name}` is not open")));
        };
        let target = if property.of_filter {
            stream.pins.filter()
        } else {
            let pins = stream.pins.pins(property.pin);
            let missing = || StepError::Unexpected(format!("stream `{name}` has no such pin"));
            // Without a name, the pin for music, which is the last where there are two.
            *pins.last().ok_or_else(missing)?
        };
        let (verb, value) = match (property.get, &property.set_to, property.set_to_u32) {
            (Some(room), ..) => (PropertyVerb::Get, vec![0; room as usize]),
            (None, Some(bytes), _) => (PropertyVerb::Set, bytes.0.clone()),
            (None, None, Some(number)) => (PropertyVerb::Set, number.to_le_bytes().to_vec()),
            (None, None, None) => (PropertyVerb::BasicSupport, vec![0; ULONG]),
        };
        let request = PropertyRequest {
            caller: property.caller.of_guest(),
            target,
            node,
            set: property.set.0,
            id: property.id,
            verb,
            instance: property.instance.0.clone(),
            value,
        };
        let (status, value) = self.bed.session.property("ask for a property", request)?;
        self.answered = Some((status, value.clone()));
        let mut wrong = Vec::new();
        if let Some(wanted) = property.status.filter(|wanted| wanted.0 != status) {
            wrong.push(format!("the status is {}, expected {wanted}", CodedStatus(status)));
        }
        if let Some(wanted) = property.value.as_ref().filter(|wanted| wanted.0 != value) {
            wrong.push(format!("the value is {}, expected {}", hex::encode(&value), hex::encode(&wanted.0)));
        }
        if let Some(bounds) = property.value_u32 {
            match value.first_chunk::<ULONG>() {
                Some(bytes) => {
                    let number = u32::from_le_bytes(*bytes);
                    wrong.extend(bounds.violation("the value", number.into()));
                }
                None => wrong.push(format!("the value has {} bytes, and a ULONG has {ULONG}", value.len())),
            }
        }
        if wrong.is_empty() {
            return Ok(format!("{}, value {}", CodedStatus(status), hex::encode(&value)));
        }
        Err(StepError::Unexpected(wrong.join("; ")))
    }

    /// Returns the first synthesizer node of the driver's filters.
    pub(super) fn synthesizer_node(&mut self) -> Result<u32, StepError> {
        let device = self.started_device()?;
        for subdevice in &device.subdevices {
            let filter = self.bed.session.open_filter(subdevice)?;
            let node = synthesizer_nodes(&filter).next();
            self.bed.session.done("close a filter", Request::Close(filter.handle))?;
            if let Some(node) = node {
                return Ok(node);
            }
        }
        Err(PlaybackError::Act("no filter of the driver has a synthesizer node".into()).into())
    }
}
