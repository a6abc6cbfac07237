//! Downloads instruments as clients do (`dmdls.h`), and malformed ones in their place.

use guest_protocol::{Bulk, Caller, Handle, PropertyRequest, PropertyVerb, Request};

use super::error::ProbeError;
use super::probe::ProbeContext;
use crate::testbed::session::OpenedFilter;
use crate::testbed::synthesizer::{DLS_DOWNLOAD, DLS_PROPERTIES, DLS_UNLOAD, synthesizer_nodes};

/// `KSPROPERTY_SYNTH_DLS_COMPACT` and `_APPEND`.
const COMPACT: u32 = 2;
const APPEND: u32 = 3;

/// `DMUS_DOWNLOADINFO_INSTRUMENT` and `_WAVE`.
const TYPE_INSTRUMENT: u32 = 1;
const TYPE_WAVE: u32 = 2;

/// The ids of the downloads.
const WAVE_ID: u32 = 4711;
const INSTRUMENT_ID: u32 = 4712;

/// The bank (controllers 0 and 32) that the instrument is downloaded to: no General MIDI set has it.
pub(super) const BANK: [u8; 2] = [64, 3];
/// The program that the instrument is downloaded to.
pub(super) const PROGRAM: u8 = 5;

/// The wave: a period of a triangle at 22,050 Hz, repeated.
const WAVE_RATE: u32 = 22_050;
const WAVE_SAMPLES: usize = 2000;
const PERIOD: usize = 100;

/// `STATUS_SUCCESS`.
const STATUS_SUCCESS: u32 = 0;

/// A wave and an instrument that plays it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloadable {
    /// The download of the wave.
    pub wave: Vec<u8>,
    /// The download of the instrument.
    pub instrument: Vec<u8>,
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn halves(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Encodes `DMUS_DOWNLOADINFO`, the offset table, and the chunks.
fn download(kind: u32, id: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    let table = 16 + 4 * chunks.len();
    let mut offsets = Vec::new();
    let mut content = Vec::new();
    for chunk in chunks {
        offsets.push((table + content.len()) as u32);
        content.extend(chunk);
        content.resize(content.len().next_multiple_of(4), 0);
    }
    let mut bytes = words(&[kind, id, chunks.len() as u32, (table + content.len()) as u32]);
    bytes.extend(words(&offsets));
    bytes.extend(content);
    bytes
}

/// Returns an instrument of one region over all keys, whose wave is looped.
#[must_use]
pub fn instrument() -> Downloadable {
    instrument_of(WAVE_SAMPLES, true)
}

/// Returns the same with a wave of a second, at its own pitch, that is played once.
pub(super) fn one_shot() -> Downloadable {
    instrument_of(WAVE_RATE as usize, false)
}

fn instrument_of(wave_samples: usize, is_looped: bool) -> Downloadable {
    let mut wave = words(&[0, 0, 1]);
    // WAVEFORMATEX: PCM, mono, 16 bits; padded.
    wave.extend(halves(&[1, 1]));
    wave.extend(words(&[WAVE_RATE, WAVE_RATE * 2]));
    wave.extend(halves(&[2, 16, 0, 0]));
    let samples = (0..wave_samples).map(|sample| {
        let phase = (sample % PERIOD) as i32 - PERIOD as i32 / 2;
        ((phase.abs() - PERIOD as i32 / 4) * 400) as i16
    });
    let mut data = words(&[(wave_samples * 2) as u32]);
    data.extend(samples.flat_map(i16::to_le_bytes));

    let patch = u32::from(BANK[0]) << 16 | u32::from(BANK[1]) << 8 | u32::from(PROGRAM);
    let head = words(&[patch, 1, 0, 0, 0, 0]);
    // Keys and velocities 0 to 127, no options, no key group; no articulation, no next region, no extension.
    let mut region = halves(&[0, 127, 0, 127, 0, 0]);
    region.extend(words(&[0, 0, 0]));
    // WAVELINK: left, the wave by its download id.
    region.extend(halves(&[0, 0]));
    region.extend(words(&[1, WAVE_ID]));
    // WSMP: unity note 60, no tuning, no attenuation; one loop over the whole, if it is to be used.
    region.extend(words(&[20]));
    region.extend(halves(&[60, 0]));
    region.extend(words(&[0, 0, is_looped.into()]));
    region.extend(words(&[16, 0, 0, wave_samples as u32]));
    Downloadable {
        wave: download(TYPE_WAVE, WAVE_ID, &[wave, data]),
        instrument: download(TYPE_INSTRUMENT, INSTRUMENT_ID, &[head, region]),
    }
}

/// Returns downloads that must be refused, each with what is wrong with it.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let good = instrument();
    let with = |bytes: &[u8], at: usize, value: u32| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    let table = 16;
    // Chunk 1 of the instrument is its region: `ulNextRegionIdx` is at byte 16 of it.
    let next_region = table + 8 + 24 + 16;
    vec![
        ("a type that does not exist", with(&good.instrument, 0, 77)),
        ("a table of 2^30 entries", with(&good.instrument, 8, 1 << 30)),
        ("a table of no entries", with(&good.instrument, 8, 0)),
        ("a length beyond its end", with(&good.instrument, 12, 1 << 20)),
        ("an offset beyond its end", with(&good.instrument, table + 4, 1 << 20)),
        ("an offset that is not aligned", with(&good.instrument, table + 4, 33)),
        ("regions in a circle", with(&good.instrument, next_region, 1)),
        ("a region index beyond the table", with(&good.instrument, next_region, 9)),
        ("a wave whose data says that it is longer than it is", with(&good.wave, table + 8 + 32, 1 << 24)),
        ("a wave data index beyond the table", with(&good.wave, table + 8 + 8, 7)),
        ("a header cut short", good.instrument[..15].to_vec()),
    ]
}

/// The synthesizer node of an open filter, addressed through a pin.
pub(super) struct Synthesizer {
    pub(super) pin: Handle,
    pub(super) node: u32,
}

impl Synthesizer {
    /// Returns the first synthesizer node of a filter, addressed through a pin.
    pub(super) fn of(filter: &OpenedFilter, pin: Handle) -> Option<Self> {
        Some(Self { pin, node: synthesizer_nodes(filter).next()? })
    }

    fn ask(
        &self,
        probe: &mut ProbeContext<'_, '_>,
        caller: Caller,
        id: u32,
        verb: PropertyVerb,
        instance: Vec<u8>,
        value: Vec<u8>,
    ) -> Result<(u32, Vec<u8>), ProbeError> {
        let request = PropertyRequest {
            caller,
            target: self.pin,
            node: Some(self.node),
            set: DLS_PROPERTIES,
            id,
            verb,
            instance,
            value,
        };
        Ok(probe.bed.session.property("ask about downloads", request)?)
    }

    /// Sends `DOWNLOAD` of a buffer at an address in the caller's process. Returns the handle, or the status.
    pub(super) fn download(
        &self,
        probe: &mut ProbeContext<'_, '_>,
        caller: Caller,
        address: u64,
        bytes: u32,
    ) -> Result<Result<u64, u32>, ProbeError> {
        let (instance, room) = match caller {
            Caller::Kernel | Caller::User64 => ([words(&[bytes, 0]), address.to_le_bytes().to_vec()].concat(), 16),
            Caller::User32 => (words(&[bytes, address as u32]), 8),
        };
        let (status, value) = self.ask(probe, caller, DLS_DOWNLOAD, PropertyVerb::Get, instance, vec![0; room])?;
        if status != STATUS_SUCCESS {
            return Ok(Err(status));
        }
        let handle = match caller {
            Caller::Kernel | Caller::User64 => value.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)),
            Caller::User32 => value.first_chunk().map(|bytes| u32::from_le_bytes(*bytes).into()),
        };
        Ok(handle.ok_or(status))
    }

    /// Sends `UNLOAD`. Returns the status.
    pub(super) fn unload(
        &self,
        probe: &mut ProbeContext<'_, '_>,
        caller: Caller,
        handle: u64,
    ) -> Result<u32, ProbeError> {
        Ok(self.ask(probe, caller, DLS_UNLOAD, PropertyVerb::Set, Vec::new(), handle_value(caller, handle))?.0)
    }

    /// Sends `UNLOAD`, which may stay pending. Returns the status, or the request that is pending.
    pub(super) fn begin_unload(
        &self,
        probe: &mut ProbeContext<'_, '_>,
        caller: Caller,
        handle: u64,
    ) -> Result<Result<u32, Handle>, ProbeError> {
        let request = PropertyRequest {
            caller,
            target: self.pin,
            node: Some(self.node),
            set: DLS_PROPERTIES,
            id: DLS_UNLOAD,
            verb: PropertyVerb::Set,
            instance: Vec::new(),
            value: handle_value(caller, handle),
        };
        Ok(probe
            .bed
            .session
            .kept_property("unload what sounds", Request::BeginProperty(request))?
            .map(|(status, _)| status))
    }

    /// Sends `COMPACT` and `APPEND`. Returns the statuses.
    pub(super) fn compact_and_append(&self, probe: &mut ProbeContext<'_, '_>) -> Result<[u32; 2], ProbeError> {
        let compact = self.ask(probe, Caller::User64, COMPACT, PropertyVerb::Set, Vec::new(), Vec::new())?.0;
        let append = self.ask(probe, Caller::User64, APPEND, PropertyVerb::Get, Vec::new(), vec![0; 4])?.0;
        Ok([compact, append])
    }
}

/// Encodes a handle as its caller has it.
fn handle_value(caller: Caller, handle: u64) -> Vec<u8> {
    match caller {
        Caller::Kernel | Caller::User64 => handle.to_le_bytes().to_vec(),
        Caller::User32 => words(&[handle as u32]),
    }
}

/// Fills memory of a caller's process. Returns the range, and its address in the process.
pub(super) fn user_memory(
    probe: &mut ProbeContext<'_, '_>,
    caller: Caller,
    bytes: &[u8],
) -> Result<(Bulk, u64), ProbeError> {
    let bulk = probe.bed.session.allocate(bytes.len() as u64)?;
    let bulk = Bulk { address: bulk.address, length: bytes.len() as u64 };
    probe.bed.write_bulk(bulk, bytes)?;
    let address = probe.bed.session.map_user(bulk, caller)?;
    Ok((bulk, address))
}

/// Returns the violation of a good download that is refused.
fn refused(what: &str, caller: Caller, status: u32) -> ProbeError {
    let rule = if caller == Caller::User32 { 75 } else { 74 };
    ProbeError::Violated { rule, what: format!("{what} is refused with status {status:#010x}") }
}

/// Downloads wave and instrument. Returns their handles.
pub(super) fn download_both(
    probe: &mut ProbeContext<'_, '_>,
    synthesizer: &Synthesizer,
    caller: Caller,
) -> Result<[u64; 2], ProbeError> {
    download_these(probe, synthesizer, caller, &instrument())
}

/// Downloads another wave and instrument. Returns their handles.
pub(super) fn download_these(
    probe: &mut ProbeContext<'_, '_>,
    synthesizer: &Synthesizer,
    caller: Caller,
    Downloadable { wave, instrument }: &Downloadable,
) -> Result<[u64; 2], ProbeError> {
    let mut handles = [0; 2];
    for (handle, (what, bytes)) in handles.iter_mut().zip([("a good wave", wave), ("a good instrument", instrument)]) {
        let (_, address) = user_memory(probe, caller, bytes)?;
        *handle = synthesizer
            .download(probe, caller, address, bytes.len() as u32)?
            .map_err(|status| refused(what, caller, status))?;
    }
    if handles[0] == handles[1] {
        return Err(ProbeError::Violated { rule: 74, what: "two downloads have one handle".into() });
    }
    Ok(handles)
}

/// Sends good and bad downloads, from both kinds of callers (rules 74 and 75).
pub(super) fn corpus(probe: &mut ProbeContext<'_, '_>, synthesizer: &Synthesizer) -> Result<(), ProbeError> {
    for (caller, rule) in [(Caller::User64, 74), (Caller::User32, 75)] {
        let handles = download_both(probe, synthesizer, caller)?;
        for handle in handles.into_iter().rev() {
            let status = synthesizer.unload(probe, caller, handle)?;
            if status != STATUS_SUCCESS {
                return Err(ProbeError::Violated { rule, what: format!("UNLOAD fails with status {status:#010x}") });
            }
            if synthesizer.unload(probe, caller, handle)? == STATUS_SUCCESS {
                return Err(ProbeError::Violated { rule, what: "UNLOAD succeeds a second time for one handle".into() });
            }
        }
        probe.findings.held(rule);
        for (what, bytes) in malformed() {
            let (_, address) = user_memory(probe, caller, &bytes)?;
            expect_refusal(probe, synthesizer, caller, what, address, bytes.len() as u32)?;
        }
        let (_, address) = user_memory(probe, caller, &instrument().instrument)?;
        let top = if caller == Caller::User64 { u64::MAX - 0xFFF } else { 0xFFFF_F000 };
        for (what, address, bytes) in [
            ("a NULL buffer", 0, 64),
            ("a buffer of no bytes", address, 0),
            ("a buffer of 4 GiB less one byte", address, u32::MAX),
            ("a buffer that is not mapped", 0x1_0000, 4096),
            ("a buffer in the kernel's half", 0xFFFF_8000_0010_0000, 256),
            ("a buffer that wraps around the end of the address space", top, 0x2000),
        ] {
            expect_refusal(probe, synthesizer, caller, what, address, bytes)?;
        }
    }
    let statuses = synthesizer.compact_and_append(probe)?;
    probe
        .findings
        .figures
        .push(("COMPACT and APPEND that succeeded".into(), statuses.iter().filter(|s| **s == 0).count() as u64));
    Ok(())
}

fn expect_refusal(
    probe: &mut ProbeContext<'_, '_>,
    synthesizer: &Synthesizer,
    caller: Caller,
    what: &str,
    address: u64,
    bytes: u32,
) -> Result<(), ProbeError> {
    if synthesizer.download(probe, caller, address, bytes)?.is_ok() {
        return Err(ProbeError::Violated { rule: 74, what: format!("a download with {what} is taken") });
    }
    probe.findings.held(74);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(bytes: &[u8], at: usize) -> usize {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    }

    #[test]
    fn encodes_the_length_of_a_download_and_the_offsets_of_its_chunks() {
        let Downloadable { wave, instrument } = instrument();
        for (bytes, first) in [(&wave, 32), (&instrument, 24)] {
            assert_eq!(word(bytes, 12), bytes.len());
            assert_eq!(word(bytes, 8), 2);
            assert_eq!(word(bytes, 16), 24);
            assert_eq!(word(bytes, 20), 24 + first);
        }
        // DMUS_REGION with its one loop is 72 bytes.
        assert_eq!(instrument.len(), 24 + 24 + 72);
    }

    #[test]
    fn malforms_each_malformed_download() {
        let good = instrument();
        assert!(malformed().iter().all(|(_, bytes)| *bytes != good.wave && *bytes != good.instrument));
    }
}
