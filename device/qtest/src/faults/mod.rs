//! The table of a driver's errors, one module for each kind.

mod aliases;
mod batches;
mod chains;
mod conforming;
mod control;
mod downloads;
mod features;
mod floods;
mod function;
mod indirect;
mod lost_memory;
mod order;
mod over_vfio_user;
mod parameters;
mod races;
mod realtime;
mod ring_overlap;
mod rings;
mod wave;
mod withheld;

use card_control::Transport;

use crate::fault::Fault;

/// Returns every row, with what is expected of it over a transport.
#[must_use]
pub fn over(transport: Transport) -> Vec<Fault> {
    let mut rows = all();
    if transport == Transport::VfioUser {
        over_vfio_user::adapt(&mut rows);
    }
    rows
}

/// Returns every row, with what is expected of it over vhost-user.
#[must_use]
pub fn all() -> Vec<Fault> {
    [
        conforming::rows(),
        rings::rows(),
        ring_overlap::rows(),
        features::rows(),
        order::rows(),
        chains::rows(),
        indirect::rows(),
        control::rows(),
        parameters::rows(),
        batches::rows(),
        wave::rows(),
        withheld::rows(),
        downloads::rows(),
        floods::rows(),
        aliases::rows(),
        function::rows(),
        races::rows(),
        realtime::rows(),
        lost_memory::rows(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use card_spec::diagnosis::Diagnosis;

    use super::*;
    use crate::fault::Expected;
    use crate::table::NAME_WIDTH;

    #[test]
    fn there_are_two_hundred_faults_and_no_two_of_one_name() {
        let faults = all();
        let bad = faults.iter().filter(|fault| fault.area != conforming::AREA).count();
        assert!(bad >= 200, "{bad}");
        let names: HashSet<(&str, &str)> = faults.iter().map(|fault| (fault.area, fault.name.as_str())).collect();
        assert_eq!(names.len(), faults.len());
    }

    #[test]
    fn every_diagnosis_of_the_datasheet_is_certain_to_be_expected_by_a_row() {
        let certain: HashSet<u16> = all()
            .iter()
            .chain(&over(Transport::VfioUser))
            .filter_map(|fault| match fault.expected {
                Expected::First(code, _) => Some(code.0),
                Expected::FirstOrKept(..) | Expected::Anything => None,
            })
            .collect();
        for code in (0..=u16::MAX).map(Diagnosis).filter(|code| code.name().is_some()) {
            assert!(certain.contains(&code.0), "no row provokes {code}");
        }
    }

    #[test]
    fn a_row_names_the_act_in_a_line() {
        for fault in all() {
            assert!(fault.name.len() <= NAME_WIDTH, "{}", fault.name);
        }
    }
}
