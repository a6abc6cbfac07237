//! What the card finds over vfio-user that QEMU keeps from it over vhost-user: there it decodes every access itself.

use card_spec::diagnosis::Diagnosis;
use card_spec::queue::Queue;

use crate::fault::{Expected, Fault, on};

/// Rows by the end of their names, and what is expected of them there.
const DIFFERENT: &[(&str, Diagnosis)] = &[
    ("accepts other features after DRIVER_OK", Diagnosis::REGISTER_VALUE),
    ("DRIVER_OK without any queue", Diagnosis::VERSION_1_MISSING),
    ("other addresses and sizes are written while the rings run", Diagnosis::REGISTER_VALUE),
    ("selects queues that are not there, and sets them up", Diagnosis::REGISTER_VALUE),
    ("resets single queues, which was not offered", Diagnosis::REGISTER_READ_ONLY),
    ("writes every register of the common configuration in every width", Diagnosis::REGISTER_ACCESS),
    ("kicks queues that are not there", Diagnosis::REGISTER_ACCESS),
    ("kicks in other widths and with other numbers than the queue's", Diagnosis::REGISTER_ACCESS),
    ("status: DRIVER_OK without FEATURES_OK", Diagnosis::REGISTER_VALUE),
    ("status: DRIVER_OK alone", Diagnosis::REGISTER_VALUE),
    ("status: DRIVER_OK is taken back and set again", Diagnosis::REGISTER_VALUE),
    ("status: DRIVER_OK is taken back, with other features, and set again", Diagnosis::REGISTER_VALUE),
    ("status: every status value from 1 to 255 in turn", Diagnosis::REGISTER_VALUE),
    ("status: DRIVER_OK is taken back while it plays, and set again", Diagnosis::REGISTER_VALUE),
    ("kicks and writes of the status while the machine is stopped", Diagnosis::REGISTER_VALUE),
    ("starts with bus mastering off", Diagnosis::BUS_MASTER_OFF),
    ("writes to the identity block in 8 bytes", Diagnosis::REGISTER_ACCESS),
    ("writes past the end of the identity block", Diagnosis::REGISTER_ACCESS),
    ("reads of the identity block in every width, past its end too", Diagnosis::REGISTER_ACCESS),
];

/// The same for rows of which there are several.
const FAMILIES: &[(&str, Diagnosis)] = &[
    (", not offered", Diagnosis::REGISTER_VALUE),
    ("selects feature word 0x2", Diagnosis::REGISTER_VALUE),
    ("selects feature word 0x1f", Diagnosis::REGISTER_VALUE),
    ("selects feature word 0xffffffff", Diagnosis::REGISTER_VALUE),
];

/// Rows that begin with the name of a queue.
const OF_A_QUEUE: &[(&str, Diagnosis)] = &[
    (" is not enabled", Diagnosis::QUEUE_NOT_READY),
    (" is enabled without addresses", Diagnosis::RING_OVERLAP),
    (" is kicked before DRIVER_OK", Diagnosis::QUEUE_NOT_READY),
];

/// Rows of the control queue.
const OF_CONTROL: &[(&str, Diagnosis)] = &[
    ("entries, which QEMU ignores", Diagnosis::RING_SIZE),
    ("kicks after a reset, on all queues", Diagnosis::QUEUE_NOT_READY),
];

/// Returns what is expected of a row over vfio-user, if it is something else than over vhost-user.
fn expected(name: &str) -> Option<Expected> {
    let find = |table: &[(&str, Diagnosis)]| table.iter().find(|(end, _)| name.ends_with(end)).map(|(_, code)| *code);
    if let Some(code) = find(DIFFERENT).or_else(|| find(FAMILIES)) {
        return Some(Expected::First(code, None));
    }
    if let Some(code) = find(OF_CONTROL) {
        return Some(on(Queue::CONTROL, code));
    }
    let queue = Queue::ALL.into_iter().find(|queue| name.starts_with(&queue.to_string()))?;
    find(OF_A_QUEUE).map(|code| on(queue, code))
}

/// Gives rows the expectations that they have over vfio-user.
pub(super) fn adapt(rows: &mut [Fault]) {
    for row in rows {
        if let Some(expected) = expected(&row.name) {
            row.expected = expected;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::all;

    #[test]
    fn every_line_is_of_some_row() {
        let rows = all();
        for (end, _) in [DIFFERENT, FAMILIES, OF_A_QUEUE, OF_CONTROL].into_iter().flatten() {
            assert!(rows.iter().any(|row| row.name.ends_with(end)), "no row's name ends with {end:?}");
        }
        let mut adapted = all();
        adapt(&mut adapted);
        let changed = rows.iter().zip(&adapted).filter(|(before, after)| before.expected != after.expected).count();
        assert_eq!(changed, 52);
    }
}
