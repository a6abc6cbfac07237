//! DirectMusic download buffers for the seeds.

/// `DMUS_DOWNLOADINFO.dwDLType` of a wave.
const WAVE: u32 = 2;

/// `DMUS_DOWNLOADINFO.dwDLType` of an instrument.
const INSTRUMENT: u32 = 3;

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn halves(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Structures in the order of the offset table, in a buffer whose header says that it is `length` bytes long, 0 for as many as
/// it has.
fn buffer(kind: u32, id: u32, structures: &[Vec<u8>], length: u32) -> Vec<u8> {
    let mut end = 16 + 4 * structures.len();
    let mut table = Vec::new();
    for structure in structures {
        table.push(end as u32);
        end += structure.len();
    }
    let length = if length == 0 { end as u32 } else { length };
    let head = words(&[kind, id, structures.len() as u32, length]);
    [head, words(&table), structures.concat()].concat()
}

/// Returns a 16-bit mono wave of four samples.
pub(super) fn wave(id: u32, length: u32) -> Vec<u8> {
    let header = [words(&[0, 0, 1]), halves(&[1, 1]), words(&[22_050, 44_100]), halves(&[2, 16, 0, 0])].concat();
    let data = [words(&[8]), halves(&[0, 0x4000, 0, 0xc000])].concat();
    buffer(WAVE, id, &[header, data], length)
}

/// Returns an instrument with so many regions, all over the whole keyboard and all of one wave. They share one
/// articulation of so many connections.
pub(super) fn instrument(patch: u32, regions: u32, connections: u32, wave_id: u32) -> Vec<u8> {
    let articulation = if connections == 0 { 0 } else { regions + 1 };
    let mut structures = vec![words(&[patch, 1, 0, 0, 0, 0])];
    for index in 1..=regions {
        let next = if index == regions { 0 } else { index + 1 };
        let region = [
            halves(&[0, 127, 0, 127, 0, 0]),
            words(&[articulation, next, 0]),
            halves(&[0, 0]),
            words(&[1, wave_id, 20]),
            halves(&[60, 0]),
            words(&[0, 0, 1, 16, 0, 0, 4]),
        ];
        structures.push(region.concat());
    }
    if connections > 0 {
        structures.push(words(&[regions + 2, 0, 0]));
        // From the key number to the attack time of the volume envelope, each a little more.
        let connection = |index: u32| [halves(&[3, 0, 0x206, 0]), words(&[index << 8])].concat();
        structures.push([words(&[8, connections]), (0..connections).flat_map(connection).collect()].concat());
    }
    buffer(INSTRUMENT, 1000, &structures, 0)
}
