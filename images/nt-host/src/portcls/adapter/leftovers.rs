//! What a driver that was unloaded has left behind of PortCls' and `ks.sys`'s objects.

use crate::contract::rules;
use crate::contract::violation::{Violation, violation};
use crate::portcls::com::object;
use crate::portcls::port::lifetime;
use crate::{drmk, ks, wpp_recorder};

/// Checks, when a driver has been unloaded, that it left none of PortCls' objects behind (rules 7 and 82).
pub(crate) fn check() {
    lifetime::expect_ports_released();
    let mut left = object::leftovers();
    left.extend(ks::leftovers());
    left.extend(drmk::leftovers());
    left.extend(wpp_recorder::leftovers());
    if !left.is_empty() {
        violation(
            "DriverUnload",
            Violation::new(
                rules::NOTHING_LEFT,
                alloc::format!("the driver is unloaded and still holds {}", left.join(", ")),
                "release every object that a Pc function gave, at the latest in the miniport's destructor",
            ),
        )
    }
    rules::NOTHING_LEFT.held();
}
