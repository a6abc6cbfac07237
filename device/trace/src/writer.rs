//! Writes the ring: one atomic addition and a few stores a record, whichever thread.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::act::{CUT, Head};
use crate::clock::{self, Pair};
use crate::header::{FLAG_PCM, FLAG_TSC, HEADER_BYTES, MAGIC, PROGRAM_BYTES, VERSION_MAJOR, VERSION_MINOR, word};
use crate::kind::{Kind, Source};
use crate::map::Map;
use crate::payload::Chunks;
use crate::slot::{CHUNK_BYTES, SLOT_BYTES, SLOT_WORDS, label};

/// Bytes of a file by default, about: room for some 500,000 common records.
pub const SIZE_DEFAULT: u64 = 16 << 20;
/// Least bytes of a file.
pub const SIZE_MIN: u64 = 64 << 10;
/// Most bytes of a file: what a reader takes into memory.
pub const SIZE_MAX: u64 = 1 << 30;

/// Most of the ring that one record fills, as a divisor: a long payload must not overwrite all that led to it.
const RECORD_SHARE: u64 = 8;

/// Most bytes of a payload, however large the ring: what three bytes count.
const PAYLOAD_MAX: u64 = (1 << 24) - 1;

/// Ticks between two pairs of clocks: some 10 ms of a time-stamp counter.
const PAIR_TICKS: u64 = 1 << 25;

/// What a trace is made with.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'s> {
    /// Bytes of the file; the number of slots is the greatest power of two that fits.
    pub size: u64,
    /// Record the PCM of wave buffers, and not only its hash.
    pub pcm: bool,
    /// The program that writes, and its version; at most 64 bytes of it are kept.
    pub program: &'s str,
}

/// The reason for which a trace cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Its size is out of bounds.
    #[error("a trace of {0} bytes: it must have {SIZE_MIN} to {SIZE_MAX} bytes")]
    Size(u64),
    /// There is something at its path that is no regular file.
    #[error("{0} is no regular file; name another path for the trace")]
    NoFile(PathBuf),
    /// The file cannot be made, or has no room.
    #[error("cannot make a trace of {bytes} bytes in {path}: {source}")]
    File {
        /// The path.
        path: PathBuf,
        /// Bytes that it was to have.
        bytes: u64,
        /// The host's error.
        source: io::Error,
    },
}

/// What has been written so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Records since the start.
    pub records: u64,
    /// Records among them that later ones have overwritten, in part or whole.
    pub overwritten: u64,
    /// Bytes of the ring.
    pub ring_bytes: u64,
    /// Bytes written to it since the start.
    pub bytes: u64,
}

/// A trace that is being written. Any thread may write at any time; none waits for another.
#[derive(Debug)]
pub struct Writer {
    map: Map,
    mask: u64,
    payload_max: usize,
    pcm: bool,
    last_pair: AtomicU64,
}

impl Writer {
    /// Makes the file, in place of one that is there, with all its room, and writes its header.
    ///
    /// # Errors
    /// [`CreateError::Size`] for a size out of bounds, [`CreateError::NoFile`] where something else than a file is in its place,
    /// [`CreateError::File`] when the host cannot make it, has no room for it, or cannot map it.
    pub fn create(path: &Path, settings: Settings<'_>) -> Result<Self, CreateError> {
        if !(SIZE_MIN..=SIZE_MAX).contains(&settings.size) {
            return Err(CreateError::Size(settings.size));
        }
        let slots = 1 << ((settings.size - HEADER_BYTES as u64) / SLOT_BYTES as u64).ilog2();
        let bytes = HEADER_BYTES as u64 + slots * SLOT_BYTES as u64;
        let failed = |source| CreateError::File { path: path.to_owned(), bytes, source };
        let file = new_file(path, bytes, failed)?;
        let map = Map::of(&file, bytes as usize).map_err(failed)?;
        let payload_max = (slots / RECORD_SHARE * CHUNK_BYTES as u64).min(PAYLOAD_MAX);
        let writer = Self {
            map,
            mask: slots - 1,
            payload_max: payload_max as usize,
            pcm: settings.pcm,
            last_pair: AtomicU64::new(0),
        };
        writer.write_header(slots, settings);
        Ok(writer)
    }

    fn write_header(&self, slots: u64, settings: Settings<'_>) {
        let pair = Pair::now();
        let flags = if settings.pcm { FLAG_PCM } else { 0 } | if clock::IS_TSC { FLAG_TSC } else { 0 };
        let version = u64::from(VERSION_MAJOR) | u64::from(VERSION_MINOR) << 16 | (HEADER_BYTES as u64) << 32;
        self.put(word::VERSION, version);
        self.put(word::SLOTS, slots);
        self.put(word::SLOT_BYTES, SLOT_BYTES as u64 | u64::from(flags) << 32);
        self.put(word::TICKS, pair.ticks);
        self.put(word::NANOSECONDS, pair.nanoseconds);
        self.put(word::SINCE_EPOCH, clock::since_epoch());
        self.put(word::PROCESS, u64::from(std::process::id()) | (self.payload_max as u64) << 32);
        let mut end = settings.program.len().min(PROGRAM_BYTES);
        while !settings.program.is_char_boundary(end) {
            end -= 1;
        }
        let mut program = [0; PROGRAM_BYTES];
        program[..end].copy_from_slice(&settings.program.as_bytes()[..end]);
        for (at, bytes) in program.as_chunks::<8>().0.iter().enumerate() {
            self.put(word::PROGRAM + at, u64::from_le_bytes(*bytes));
        }
        self.last_pair.store(pair.ticks, Ordering::Relaxed);
        // Last: what has no magic is no trace.
        fence(Ordering::Release);
        self.put(word::MAGIC, u64::from_le_bytes(MAGIC));
    }

    fn put(&self, at: usize, value: u64) {
        self.map.words()[at].store(value.to_le(), Ordering::Relaxed);
    }

    /// Returns whether the PCM of wave buffers is to be recorded.
    #[must_use]
    #[inline]
    pub const fn wants_pcm(&self) -> bool {
        self.pcm
    }

    /// Returns what has been written so far.
    #[must_use]
    pub fn written(&self) -> Written {
        let get = |at: usize| u64::from_le(self.map.words()[at].load(Ordering::Relaxed));
        let taken = get(word::TAKEN);
        Written {
            records: taken.saturating_sub(get(word::CONTINUED)),
            overwritten: get(word::OVERWRITTEN),
            ring_bytes: (self.mask + 1) * SLOT_BYTES as u64,
            bytes: taken.saturating_mul(SLOT_BYTES as u64),
        }
    }

    /// Writes a common record.
    #[inline]
    pub fn record(&self, source: Source, head: Head) {
        let ticks = clock::ticks();
        self.write(ticks, source, head, &[], 0);
        self.pair_if_due(ticks);
    }

    /// Writes a record with a payload, which may come in parts. One that is longer than the header says is cut, and marked so.
    #[inline]
    pub fn record_with(&self, source: Source, head: Head, payload: &[&[u8]]) {
        let ticks = clock::ticks();
        let length: usize = payload.iter().map(|part| part.len()).sum();
        let (length, cut) = if length > self.payload_max { (self.payload_max, CUT) } else { (length, 0) };
        let head = head.with_payload(length as u32, cut);
        self.write(ticks, source, head, payload, length);
        self.pair_if_due(ticks);
    }

    #[inline]
    fn pair_if_due(&self, ticks: u64) {
        let last = self.last_pair.load(Ordering::Relaxed);
        if ticks.wrapping_sub(last) >= PAIR_TICKS {
            self.pair(last, ticks);
        }
    }

    #[cold]
    fn pair(&self, last: u64, ticks: u64) {
        // Counters of different processors may differ by a little; then there is nothing to pair yet.
        if ticks <= last || self.last_pair.compare_exchange(last, ticks, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let pair = Pair::now();
        let error = u16::try_from(pair.error).unwrap_or(u16::MAX);
        self.write(pair.ticks, Source::CARD, Head::clock(pair.nanoseconds, error), &[], 0);
    }

    #[inline]
    fn write(&self, ticks: u64, source: Source, head: Head, payload: &[&[u8]], length: usize) {
        let words = self.map.words();
        let (header, ring) = words.split_at(word::END);
        let continues = length.div_ceil(CHUNK_BYTES) as u64;
        let number = header[word::TAKEN].fetch_add(host(1 + continues), Ordering::Relaxed);
        let number = u64::from_le(number);
        if continues > 0 {
            header[word::CONTINUED].fetch_add(host(continues), Ordering::Relaxed);
        }
        if number + continues > self.mask {
            self.count_overwritten(ring, number, 1 + continues);
        }
        let slot = self.slot(ring, number);
        put(slot, ticks, label(head.kind, source.0, head.small, number), head.value);
        for (index, chunk) in Chunks::new(payload, length).enumerate() {
            let number = number + 1 + index as u64;
            let slot = self.slot(ring, number);
            let (low, high) = chunk.split_at(CHUNK_BYTES / 2);
            let half = |half: &[u8]| half.first_chunk().map_or(0, |half| u64::from_le_bytes(*half));
            put(slot, half(low), label(Kind::CONTINUES.0, source.0, index as u16, number), half(high));
        }
    }

    #[inline]
    fn slot<'r>(&self, ring: &'r [AtomicU64], number: u64) -> &'r [AtomicU64] {
        let at = (number & self.mask) as usize * SLOT_WORDS;
        &ring[at..at + SLOT_WORDS]
    }

    /// Counts the records whose first slots lie where these are about to be.
    fn count_overwritten(&self, ring: &[AtomicU64], number: u64, slots: u64) {
        let overwritten = (number..number + slots)
            .map(|number| u64::from_le(self.slot(ring, number)[1].load(Ordering::Relaxed)) as u8)
            .filter(|kind| *kind != 0 && *kind != Kind::CONTINUES.0)
            .count();
        if overwritten > 0 {
            self.map.words()[word::OVERWRITTEN].fetch_add(host(overwritten as u64), Ordering::Relaxed);
        }
    }
}

/// Returns a number to be added to a word of the file.
#[inline]
const fn host(number: u64) -> u64 {
    const { assert!(cfg!(target_endian = "little"), "additions are made in the byte order of the file") };
    number
}

#[inline]
fn put(slot: &[AtomicU64], first: u64, label: u64, last: u64) {
    let [a, b, c] = slot else { return };
    b.store(0, Ordering::Relaxed);
    // A reader that finds the new words finds the seal gone.
    fence(Ordering::Release);
    a.store(first.to_le(), Ordering::Relaxed);
    c.store(last.to_le(), Ordering::Relaxed);
    b.store(label.to_le(), Ordering::Release);
}

/// Makes a new file with room for `bytes` bytes, all zeroes, so that no write to its pages finds the host full.
fn new_file(path: &Path, bytes: u64, failed: impl Fn(io::Error) -> CreateError) -> Result<File, CreateError> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => return Err(CreateError::NoFile(path.to_owned())),
        // A process that still maps the old one keeps it.
        Ok(_) => std::fs::remove_file(path).map_err(&failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create_new(true).mode(0o600).open(path).map_err(&failed)?;
    let allocated = match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(&mut file, bytes),
        other => other.map_err(io::Error::from),
    };
    if let Err(error) = allocated {
        // It is of no use; if it cannot be removed either, the error says enough.
        let _ = std::fs::remove_file(path);
        return Err(failed(error));
    }
    Ok(file)
}

fn fill(file: &mut File, bytes: u64) -> io::Result<()> {
    let zeroes = vec![0; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(zeroes.len() as u64);
        file.write_all(&zeroes[..now as usize])?;
        left -= now;
    }
    Ok(())
}
