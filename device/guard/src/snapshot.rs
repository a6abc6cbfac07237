//! The configuration of a device as a back-end in the same process publishes it.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use crate::limits::CONFIG_BYTES_MAX;

/// Words of the image.
const WORDS: usize = CONFIG_BYTES_MAX / 8;

/// Reads that a publisher may spoil before the reader takes its lock.
const TRIES: u32 = 64;

/// A copy of the device's configuration space, read by the guard and written by the back-end.
///
/// A read takes no lock unless the back-end publishes all the time, and always returns one state.
#[derive(Debug)]
pub struct ConfigSnapshot {
    /// Odd while the words change.
    version: AtomicU64,
    words: [AtomicU64; WORDS],
    publishing: Mutex<()>,
}

impl ConfigSnapshot {
    /// Returns a snapshot of `image`, as by [`publish`](Self::publish).
    #[must_use]
    pub fn new(image: &[u8]) -> Self {
        let snapshot = Self {
            version: AtomicU64::new(0),
            words: [const { AtomicU64::new(0) }; WORDS],
            publishing: Mutex::new(()),
        };
        snapshot.publish(image);
        snapshot
    }

    /// Replaces the image. What is missing of its [`CONFIG_BYTES_MAX`] bytes is zero; what is beyond them is left out.
    pub fn publish(&self, image: &[u8]) {
        let mut bytes = [0; CONFIG_BYTES_MAX];
        for (to, from) in bytes.iter_mut().zip(image) {
            *to = *from;
        }
        let _publishing = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        for (word, bytes) in self.words.iter().zip(bytes.as_chunks::<8>().0) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// Returns the image as it was at one time.
    #[must_use]
    pub fn read(&self) -> [u8; CONFIG_BYTES_MAX] {
        for _ in 0..TRIES {
            let version = self.version.load(Ordering::Acquire);
            let image = self.copy();
            fence(Ordering::Acquire);
            if version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version {
                return image;
            }
            std::hint::spin_loop();
        }
        let _publishing = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        self.copy()
    }

    fn copy(&self) -> [u8; CONFIG_BYTES_MAX] {
        let mut image = [0; CONFIG_BYTES_MAX];
        for (bytes, word) in image.as_chunks_mut::<8>().0.iter_mut().zip(&self.words) {
            *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        image
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_read_never_mixes_two_images() {
        let snapshot = Arc::new(ConfigSnapshot::new(&[0; CONFIG_BYTES_MAX]));
        let publisher = {
            let snapshot = Arc::clone(&snapshot);
            std::thread::spawn(move || {
                for round in 0..200_000_u32 {
                    snapshot.publish(&[round as u8; CONFIG_BYTES_MAX]);
                }
            })
        };
        while !publisher.is_finished() {
            let image = snapshot.read();
            assert!(image.iter().all(|byte| *byte == image[0]), "{image:?}");
        }
        publisher.join().unwrap();
    }

    #[test]
    fn an_image_of_another_length_is_filled_with_zeros_or_cut() {
        let snapshot = ConfigSnapshot::new(&[7; 3]);
        assert_eq!(snapshot.read()[..5], [7, 7, 7, 0, 0]);
        snapshot.publish(&[9; CONFIG_BYTES_MAX + 1]);
        assert_eq!(snapshot.read(), [9; CONFIG_BYTES_MAX]);
    }
}
