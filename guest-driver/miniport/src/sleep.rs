//! Which power states the card has: on and off, and nothing between.

use portcls::power::{DeviceCapabilities, PowerState, SYSTEM_SLEEPING1};

/// Deepens the mapping of system states to the card's: in every state in which the machine sleeps the card is off. What
/// is deep enough already stays.
pub fn deepen(capabilities: &mut DeviceCapabilities) {
    for state in &mut capabilities.device_state[SYSTEM_SLEEPING1..] {
        state.0 = state.0.max(PowerState::D3.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: DeviceCapabilities = DeviceCapabilities {
        size: 64,
        version: 1,
        bits: 0x55aa,
        address: 7,
        ui_number: 8,
        device_state: [
            PowerState(0),
            PowerState::D0,
            PowerState::D1,
            PowerState::D2,
            PowerState::D3,
            PowerState(0),
            PowerState(5),
        ],
        system_wake: 3,
        device_wake: 4,
        d1_latency: 1,
        d2_latency: 2,
        d3_latency: 3,
    };

    #[test]
    fn a_sleeping_machine_has_the_card_off_and_no_mapping_is_lifted() {
        let mut capabilities = GIVEN;
        deepen(&mut capabilities);
        assert_eq!(capabilities.device_state.map(|state| state.0), [0, 1, 4, 4, 4, 4, 5]);
        deepen(&mut capabilities);
        assert_eq!(capabilities.device_state.map(|state| state.0), [0, 1, 4, 4, 4, 4, 5]);
    }

    #[test]
    fn nothing_else_changes() {
        let mut capabilities = GIVEN;
        deepen(&mut capabilities);
        capabilities.device_state = GIVEN.device_state;
        assert_eq!(std::format!("{capabilities:?}"), std::format!("{GIVEN:?}"));
    }
}
