//! The card's power states: on (D0) and off (D3), and none between.

use portcls::power::{DeviceCapabilities, PowerState, SYSTEM_SLEEPING1};

/// Maps every sleeping state of the system to D3, for the card has no state between. Deeper mappings stay.
pub fn sleep_is_d3(capabilities: &mut DeviceCapabilities) {
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
    fn maps_sleeping_states_to_d3_and_keeps_deeper_mappings() {
        let mut capabilities = GIVEN;
        sleep_is_d3(&mut capabilities);
        assert_eq!(capabilities.device_state.map(|state| state.0), [0, 1, 4, 4, 4, 4, 5]);
        sleep_is_d3(&mut capabilities);
        assert_eq!(capabilities.device_state.map(|state| state.0), [0, 1, 4, 4, 4, 4, 5]);
    }

    #[test]
    fn changes_no_other_capability() {
        let mut capabilities = GIVEN;
        sleep_is_d3(&mut capabilities);
        capabilities.device_state = GIVEN.device_state;
        assert_eq!(std::format!("{capabilities:?}"), std::format!("{GIVEN:?}"));
    }
}
