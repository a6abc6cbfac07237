//! Handles: numbers for objects that drivers opened.
#![allow(unsafe_code, reason = "gives up references to threads")]

use alloc::string::String;
use alloc::vec::Vec;

use super::thread;
use crate::arch::uninterrupted::Uninterrupted;
use crate::nt::{HANDLE, PVOID};

/// What a handle stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A system thread, with a reference.
    Thread(PVOID),
    /// A registry key, by its full path.
    Key(String),
    /// An event with a name.
    Event(String),
    /// A directory of objects, by its name.
    Directory(String),
    /// A symbolic link, by its name.
    Link(String),
}

struct Handles(Vec<Option<Object>>);
// SAFETY: the pointers are to threads, which are reached with interrupts disabled.
unsafe impl Send for Handles {}

static HANDLES: Uninterrupted<Handles> = Uninterrupted::new(Handles(Vec::new()));

/// Handles are multiples of this.
const STEP: usize = 4;

/// Makes a handle for an object.
pub fn open(object: Object) -> HANDLE {
    HANDLES.with(|handles| {
        let index = match handles.0.iter().position(Option::is_none) {
            Some(index) => {
                handles.0[index] = Some(object);
                index
            }
            None => {
                handles.0.push(Some(object));
                handles.0.len() - 1
            }
        };
        ((index + 1) * STEP) as HANDLE
    })
}

fn index(handle: HANDLE) -> Option<usize> {
    let number = handle as usize;
    number.is_multiple_of(STEP).then(|| (number / STEP).checked_sub(1)).flatten()
}

/// Returns what a handle stands for.
#[must_use]
pub fn get(handle: HANDLE) -> Option<Object> {
    let index = index(handle)?;
    HANDLES.with(|handles| handles.0.get(index).cloned().flatten())
}

/// Closes a handle. Returns what it stood for, if it was open; a thread's reference is given up.
pub fn close(handle: HANDLE) -> Option<Object> {
    let index = index(handle)?;
    let closed = HANDLES.with(|handles| handles.0.get_mut(index).and_then(Option::take));
    if let Some(Object::Thread(thread)) = closed {
        // SAFETY: the handle owned a reference.
        unsafe { thread::release(thread) };
    }
    closed
}

/// Returns how many handles are open.
#[must_use]
pub fn count() -> usize {
    HANDLES.with(|handles| handles.0.iter().flatten().count())
}
