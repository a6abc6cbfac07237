//! DirectMusic download buffers, as a driver would hand them over.

use dls_synth::dls::Connection;

/// `DMUS_DOWNLOADINFO.dwDLType`.
pub(crate) const INSTRUMENT: u32 = 1;
pub(crate) const WAVE: u32 = 2;
pub(crate) const INSTRUMENT2: u32 = 3;
pub(crate) const WAVE_ARTICULATION: u32 = 4;
pub(crate) const STREAMING_WAVE: u32 = 5;
pub(crate) const ONE_SHOT_WAVE: u32 = 6;

/// Structures in table order.
pub(crate) fn buffer(kind: u32, id: u32, structures: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut offset = 16 + 4 * structures.len();
    let mut table = Vec::new();
    for structure in structures {
        table.push(offset as u32);
        offset += structure.len().next_multiple_of(4);
    }
    words(&mut out, &[kind, id, structures.len() as u32, offset as u32]);
    words(&mut out, &table);
    for structure in structures {
        out.extend_from_slice(structure);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

fn words(out: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

fn halves(out: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

/// Makes a 16-bit mono wave.
pub(crate) fn wave(id: u32, rate: u32, samples: &[i16]) -> Vec<u8> {
    let mut header = Vec::new();
    words(&mut header, &[0, 0, 1]);
    halves(&mut header, &[1, 1]);
    words(&mut header, &[rate, rate * 2]);
    halves(&mut header, &[2, 16, 0, 0]);
    let mut data = Vec::new();
    words(&mut data, &[samples.len() as u32 * 2]);
    samples.iter().for_each(|sample| data.extend_from_slice(&sample.to_le_bytes()));
    buffer(WAVE, id, &[header, data])
}

/// Makes one region over all keys, looped over the whole wave.
pub(crate) fn region(next: u32, wave_id: u32, unity: u16, samples: u32, articulation: u32) -> Vec<u8> {
    let mut out = Vec::new();
    halves(&mut out, &[0, 127, 0, 127, 0, 0]);
    words(&mut out, &[articulation, next, 0]);
    halves(&mut out, &[0, 0]);
    words(&mut out, &[1, wave_id]);
    words(&mut out, &[20]);
    halves(&mut out, &[unity, 0]);
    words(&mut out, &[0, 0, 1]);
    words(&mut out, &[16, 0, 0, samples]);
    assert_eq!(out.len(), 72);
    out
}

/// Makes a `DMUS_INSTRUMENT`.
pub(crate) fn instrument(patch: u32, first_region: u32, articulation: u32, flags: u32) -> Vec<u8> {
    let mut out = Vec::new();
    words(&mut out, &[patch, first_region, articulation, 0, 0, flags]);
    out
}

/// Makes an instrument of one region, with a list of connections.
pub(crate) fn simple_instrument(patch: u32, flags: u32, wave_id: u32, samples: u32, list: &[Connection]) -> Vec<u8> {
    let mut articulation = Vec::new();
    words(&mut articulation, &[3, 0, 0]);
    let mut connections = Vec::new();
    words(&mut connections, &[8, list.len() as u32]);
    for c in list {
        halves(&mut connections, &[c.source, c.control, c.destination, c.transform]);
        words(&mut connections, &[c.scale as u32]);
    }
    let structures = [instrument(patch, 1, 2, flags), region(0, wave_id, 60, samples, 0), articulation, connections];
    buffer(INSTRUMENT2, 1000, &structures)
}
