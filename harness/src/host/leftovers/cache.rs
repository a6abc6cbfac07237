//! The lock of the cache (`target/dmus`), which a process holds while it provisions.

use std::fs::File;
use std::path::Path;

/// The locked file in the cache.
pub(crate) const CACHE_LOCK: &str = "lock";

/// Locks the cache, unless another process provisions; `None` also where there is no cache yet.
pub(super) fn try_lock(cache: &Path) -> Option<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let lock = options.open(cache.join(CACHE_LOCK)).ok()?;
    lock.try_lock().is_ok().then_some(lock)
}
