//! Feature bits that a driver must accept, or must not.

use card_spec::control::Status;
use card_spec::diagnosis::Diagnosis;
use card_spec::feature::{EVENT_IDX, INDIRECT_DESC, VERSION_1};
use card_spec::queue::Queue;

use crate::driver::{Driver, DriverState};
use crate::failure::Result;
use crate::fault::{Expected, Fault, Rows};
use crate::machine::{FEATURES, common, status};

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("features");
    let missing = Expected::First(Diagnosis::VERSION_1_MISSING, None);
    for (name, features) in [("nothing", 0), ("all but VERSION_1", EVENT_IDX | INDIRECT_DESC)] {
        rows.add(format!("accepts {name}"), DriverState::Reset, missing, move |d| start_with(d, features));
        rows.add(format!("accepts {name}, and opens a session"), DriverState::Reset, missing, move |d| {
            start_with(d, features)?;
            if !is_up(d)? {
                return Ok(());
            }
            d.open()?.ended(Status::OK)?;
            d.open()?.ended(Status::OK).map(|_| ())
        });
    }
    let unoffered: [(&str, u64); 10] = [
        ("NOTIFY_ON_EMPTY", 1 << 24),
        ("ANY_LAYOUT", 1 << 27),
        ("bit 30, the protocol's own", 1 << 30),
        ("ACCESS_PLATFORM", 1 << 33),
        ("RING_PACKED", 1 << 34),
        ("IN_ORDER", 1 << 35),
        ("NOTIFICATION_DATA", 1 << 38),
        ("RING_RESET", 1 << 40),
        ("bit 63", 1 << 63),
        ("all 64 bits", u64::MAX),
    ];
    for (name, bits) in unoffered {
        // Over vhost-user QEMU clears what was not offered.
        rows.add(format!("accepts {name}, not offered"), DriverState::Reset, Expected::NOTHING, move |d| {
            start_with(d, FEATURES | bits)?;
            if !is_up(d)? {
                return Ok(());
            }
            d.open()?.ended(Status::OK)?;
            d.play()?;
            d.record(64).map(|_| ())
        });
    }
    rows.add("accepts other features after DRIVER_OK", DriverState::Open, Expected::NOTHING, |d| {
        d.machine.accept_features(0)?;
        d.play()
    });
    for select in [2, 31, 0xffff_ffff] {
        rows.add(format!("selects feature word {select:#x}"), DriverState::Open, Expected::NOTHING, move |d| {
            d.machine.set_common(common::DRIVER_FEATURE_SELECT, 4, select)?;
            d.machine.set_common(common::DRIVER_FEATURE, 4, 0xffff_ffff)?;
            d.machine.set_common(common::DEVICE_FEATURE_SELECT, 4, select)?;
            d.machine.common(common::DEVICE_FEATURE, 4).map(|_| ())
        });
    }
    rows.add(
        "does not accept EVENT_IDX, and fills its field all the same",
        DriverState::Reset,
        Expected::NOTHING,
        |d| {
            start_with(d, VERSION_1 | INDIRECT_DESC)?;
            for queue in Queue::ALL {
                let plan = d.machine.ring(queue).plan;
                d.machine.ram.publish(plan.parts[1] + 4 + 2 * u64::from(plan.size), 0x7fff)?;
            }
            d.open().map(|_| ())
        },
    );
    rows.done()
}

/// Returns whether the device has taken the features. A card that decodes its own registers refuses wrong ones.
fn is_up(driver: &mut Driver) -> Result<bool> {
    Ok(driver.machine.status()? & status::FEATURES_OK != 0)
}

/// Sets the device up with these features.
pub(super) fn start_with(driver: &mut Driver, features: u64) -> Result {
    let mut set_up = driver.machine.set_up();
    set_up.features = features;
    driver.machine.start_as(&set_up)
}
