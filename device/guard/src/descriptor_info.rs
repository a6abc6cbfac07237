//! Reads what the kernel says about a descriptor, also in a process that may open nothing any more.
//!
//! `/proc/self/fdinfo/N` describes whatever descriptor has the number N when it is read. So one such file is opened in time, for
//! a number that this module keeps, and a descriptor is put there while it is described.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{DupFlags, dup3, pread};

/// Bytes of a description that are read. That of an event counter has less than 200.
const BYTES: usize = 1024;

/// The number that descriptors are put at; `None` without `/proc`.
static PLACE: OnceLock<Option<Mutex<Place>>> = OnceLock::new();

struct Place {
    number: OwnedFd,
    /// What stands there otherwise.
    empty: OwnedFd,
    information: File,
}

/// Opens what [`read`] needs, before the process may open nothing any more.
///
/// # Errors
/// The host's error, when it has no more descriptors. A host without `/proc` is none.
pub fn prepare() -> io::Result<()> {
    let empty = eventfd(0, EventfdFlags::CLOEXEC)?;
    let number = empty.try_clone()?;
    let information = match File::open(path(number.as_fd())) {
        Ok(information) => Some(information),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let _ = PLACE.set(information.map(|information| Mutex::new(Place { number, empty, information })));
    Ok(())
}

/// Returns what the kernel says about a descriptor, a line for each property; `None` when it says nothing.
#[must_use]
pub fn read(descriptor: BorrowedFd<'_>) -> Option<String> {
    let Some(place) = PLACE.get() else { return std::fs::read_to_string(path(descriptor)).ok() };
    let place = &mut *place.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
    dup3(descriptor, &mut place.number, DupFlags::CLOEXEC).ok()?;
    let mut bytes = [0; BYTES];
    let count = pread(&place.information, &mut bytes, 0);
    // What a front-end has passed is not kept: it may be its own end of the connection.
    let _ = dup3(&place.empty, &mut place.number, DupFlags::CLOEXEC);
    Some(String::from_utf8_lossy(bytes.get(..count.ok()?)?).into_owned())
}

fn path(descriptor: BorrowedFd<'_>) -> String {
    format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_each_descriptor_by_the_file_that_was_opened_for_one() {
        let counters = [7, 9].map(|count| eventfd(count, EventfdFlags::CLOEXEC).unwrap());
        let (reader, _writer) = io::pipe().unwrap();
        let opened = counters.each_ref().map(|counter| std::fs::read_to_string(path(counter.as_fd())).unwrap());
        prepare().unwrap();
        assert_eq!(counters.each_ref().map(|counter| read(counter.as_fd()).unwrap()), opened);
        assert!(!read(reader.as_fd()).unwrap().contains("eventfd"));
        assert_eq!(read(counters[0].as_fd()).as_ref(), Some(&opened[0]));
    }
}
