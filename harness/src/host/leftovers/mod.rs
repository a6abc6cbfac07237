//! Removes what runs leave behind that were ended by force, and bounds what runs keep.
//!
//! A harness that is killed runs no destructor. So everything that it creates is marked with its owner: a folder holds a
//! file that the owner keeps locked (the kernel releases the lock when the owner ends, however it ends), and a process names
//! the owner in its environment. What is marked and has no living owner is left over. The
//! harness's [`Watcher`] removes it on the spot, and the next start whatever the watcher could not.

mod cache;
mod mark;
mod owner;
mod runs;
mod scratch;
mod sweep;
mod watcher;

pub(crate) use cache::CACHE_LOCK;
pub(crate) use mark::{RunMark, marks_of};
pub(crate) use owner::{OWNER_VARIABLE, owner, processes_of};
pub use runs::{Cleaned, RUNS_BYTES_MAX, RUNS_MAX, Removed, clean, prune, remove_large_files, remove_traces};
pub use scratch::Scratch;
pub(crate) use scratch::{SOCKET_BYTES_BELOW, SOCKET_PATH_BYTES_MAX};
pub use sweep::sweep;
pub use watcher::{WATCH, Watcher, watch, watch_cache};
