//! The probe of power: every state, one after the other, and a stream opened without power.

use alloc::vec;

use super::Figures;
use crate::contract::rules;
use crate::nt::status::success;
use crate::nt::{DEVICE_CAPABILITIES, DEVICE_OBJECT};
use crate::portcls::adapter::{self, power};
use crate::portcls::com::abi::{StreamType, data_flow};
use crate::portcls::com::guids;
use crate::portcls::com::object::Com;
use crate::portcls::ks::formats;
use crate::portcls::pin::allocator::Allocator;
use crate::portcls::pin::clock::MasterClock;
use crate::portcls::pin::new_stream;
use crate::portcls::port::Port;

/// `PowerDeviceD0` to `PowerDeviceD3`.
const D0: u32 = 1;
const D1: u32 = 2;
const D2: u32 = 3;
const D3: u32 = 4;

/// Probes the power management of a started device. No pin of it is open.
pub(crate) fn run(port: &Com<Port>) -> Figures {
    let Some(fdo) = adapter::device() else { return vec![] };
    // No state twice in a row: a device whose state does not change is not told so.
    let states = [D1, D0, D2, D0, D3, D0, D1, D3, D0];
    for state in states {
        rules::must_survive(rules::POWER_REPEATED, || {
            assert!(success(power::query(fdo, state)) || state != D0, "a device is always allowed to have power");
            if state == D0 { power::up(fdo) } else { power::down(fdo, state) }
        });
    }
    capabilities(fdo);
    let mut refused = 0;
    if let Some((pin, format)) = music_pin(port) {
        power::down(fdo, D3);
        // Blamed for a touch is this rule, not that of the whole cycle.
        let asked = rules::must_survive(rules::STREAM_WITHOUT_POWER, || {
            new_stream::makes_stream(
                port,
                pin,
                StreamType::MidiRender,
                &format,
                &Allocator::create(),
                &MasterClock::create(),
            )
        });
        refused = u64::from(!asked);
        power::up(fdo);
    }
    vec![("power states notified", states.len() as u64), ("streams refused without power", refused)]
}

/// Checks that the adapter only deepens a mapping as a bus gives it (rule 79).
fn capabilities(fdo: *mut DEVICE_OBJECT) {
    // SAFETY: all zero is a valid value of a plain C structure.
    let mut capabilities: DEVICE_CAPABILITIES = unsafe { core::mem::zeroed() };
    capabilities.Size = size_of::<DEVICE_CAPABILITIES>() as u16;
    capabilities.Version = 1;
    // Unspecified; on while the system works; off in every sleep.
    capabilities.DeviceState = [0, D0 as i32, D2 as i32, D2 as i32, D3 as i32, D3 as i32, D3 as i32];
    power::query_capabilities(fdo, &raw mut capabilities);
}

fn music_pin(port: &Com<Port>) -> Option<(u32, alloc::vec::Vec<u8>)> {
    let filter = port.filter()?;
    [guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC, guids::KSDATAFORMAT_SUBTYPE_MIDI].into_iter().find_map(|sub| {
        let id = filter.pins.iter().position(|pin| {
            pin.data_flow == data_flow::IN && pin.max_filter > 0 && pin.can_carry(&guids::KSDATAFORMAT_TYPE_MUSIC, &sub)
        })?;
        Some((id as u32, formats::music(sub)))
    })
}
