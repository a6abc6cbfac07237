//! Turns what the guard finds wrong into the card's diagnosis.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use card_spec::diagnosis::Diagnosis;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::Queue;
use vhost_user_guard::{Fault, Field, Finding, Outcome};

use crate::card::Link;
use crate::diagnosis::DriverError;

/// Diagnoses a finding that a driver has caused, and parks its ring. The guard has logged it.
pub(super) fn diagnose(link: &Link, finding: &Finding) {
    let queue = finding.ring.and_then(|ring| Queue::ALL.get(ring as usize));
    let Some(queue) = queue.filter(|_| finding.outcome == Outcome::Parked) else { return };
    if let Some(error) = driver_error(finding) {
        link.bus.lock().park_ring(*queue, error.on(*queue));
        link.wake();
    }
}

/// Returns the error of the driver behind a finding about a ring; `None` when it is the front-end's.
fn driver_error(finding: &Finding) -> Option<DriverError> {
    let (expected, got) = (finding.expected as u32, finding.got as u32);
    let part = part_of(finding.field);
    Some(match (finding.field, finding.fault) {
        (Field::Size, Fault::Zero | Fault::NotPowerOfTwo | Fault::TooLarge | Fault::EndsBackend) => {
            DriverError::new(Diagnosis::RING_SIZE).expected(QUEUE_SIZE_MAX.into(), got)
        }
        (_, Fault::Misaligned) => DriverError::new(Diagnosis::RING_MISALIGNED).at(part).expected(expected, got),
        (_, Fault::NoMemory) => DriverError::new(Diagnosis::MEMORY_NOT_SHARED),
        (Field::DescriptorTable | Field::AvailableRing | Field::UsedRing, Fault::OutsideMemory | Fault::Zero) => {
            DriverError::new(Diagnosis::RING_OUTSIDE_MEMORY).at(part)
        }
        (_, Fault::Overlap) => {
            let (queue, other) = finding.other.map_or((0, 0), |(ring, field)| (ring, part_of(field)));
            // Of two parts of one ring the first one is named first.
            let (part, other) =
                if Some(queue) == finding.ring { (part.min(other), part.max(other)) } else { (part, other) };
            DriverError::new(Diagnosis::RING_OVERLAP).at(part).expected(queue, other)
        }
        _ => return None,
    })
}

/// Returns which part of a ring a field is: descriptor table, available ring, used ring.
const fn part_of(field: Field) -> u32 {
    match field {
        Field::AvailableRing => 1,
        Field::UsedRing => 2,
        _ => 0,
    }
}
