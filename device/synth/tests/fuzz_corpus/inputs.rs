//! The inputs: one for each way in which readers of such files are known to have failed.

use crate::common::download::{INSTRUMENT2, WAVE, buffer, instrument, region, simple_instrument, wave};
use crate::common::file::{Parts, articulation, block, halves, wave_sample, words};
use crate::common::sf2::{Font, SAMPLE_MODES};
use crate::common::{TURN, constant, organ, tone};
use dls_synth::dls::spec::destination as d;

/// Which door an input goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Bank,
    Download,
}

pub(crate) struct Input {
    pub(crate) name: &'static str,
    pub(crate) door: Door,
    pub(crate) bytes: Vec<u8>,
}

fn bank(name: &'static str, bytes: Vec<u8>) -> Input {
    Input { name, door: Door::Bank, bytes }
}

fn download(name: &'static str, bytes: Vec<u8>) -> Input {
    Input { name, door: Door::Download, bytes }
}

/// The download id of the wave that downloads may refer to: the one that the fuzz target has there.
pub(crate) const WAVE_ID: u32 = 0;

/// Counts whose product with the size of a record is small again in 32 bits.
const WRAPS_BY_4: [u32; 3] = [0x4000_0000, 0x4000_0001, 0x8000_0002];
const WRAPS_BY_12: [u32; 3] = [0x1555_5556, 0x2AAA_AAAB, 0xAAAA_AAAB];

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Makes pool tables with more cues than there are, with cues into the middle of waves, and tables that wrap.
pub(crate) fn pool_tables() -> Vec<Input> {
    let with = |ptbl: Vec<u8>| Parts { ptbl, ..Parts::default() }.file();
    let mut inputs = vec![
        bank("ptbl: one cue more than the chunk has", with(words(&[8, 2, 0]))),
        bank("ptbl: a cue beyond the pool", with(words(&[8, 1, 0x1000_0000]))),
        bank("ptbl: a cue just below the null cue", with(words(&[8, 1, u32::MAX - 1]))),
        bank("ptbl: a cue into the middle of a wave", with(words(&[8, 1, 12]))),
        bank("ptbl: its structure larger than the chunk", with(words(&[0xFFFF_FFF0, 1, 0]))),
        bank("ptbl: no cue at all, and a region that has one", with(words(&[8, 0]))),
        bank("ptbl: shorter than its own header", with(vec![8, 0, 0])),
    ];
    for count in WRAPS_BY_4 {
        inputs.push(bank("ptbl: a count that wraps by four", with(words(&[8, count, 0]))));
    }
    inputs
}

/// Articulations: more connections than there are, lists that wrap, in files and in downloads.
pub(crate) fn articulations() -> Vec<Input> {
    let row = block([0, 0, d::PITCH, 0], 1);
    let with = |list: Vec<u8>| Parts { in_instrument: vec![list], ..Parts::default() }.file();
    let mut inputs = vec![
        bank("art: one connection more than the chunk has", with(articulation(2, std::slice::from_ref(&row)))),
        bank("art: all connections that a number can say", with(articulation(u32::MAX, std::slice::from_ref(&row)))),
    ];
    let good = simple_instrument(5, 0, WAVE_ID, 8, &organ());
    // Four structures: the list is the last, behind header, table, instrument, region and articulation.
    let list = 16 + 16 + 24 + 72 + 12;
    for count in WRAPS_BY_12 {
        inputs.push(bank("art: a count that wraps by twelve", with(articulation(count, std::slice::from_ref(&row)))));
        let mut bad = good.clone();
        put(&mut bad, list + 4, count);
        inputs.push(download("art: a download's count that wraps by twelve", bad));
    }
    let mut grown = good.clone();
    put(&mut grown, list, 0xFFFF_FFFC);
    inputs.push(download("art: a download's list larger than the buffer", grown));
    let mut tail = good.clone();
    put(&mut tail, 16 + 16 + 24 + 72 + 8, 2);
    inputs.push(download("art: a chain that bites its own tail", tail));
    let mut level_1 = good;
    put(&mut level_1, 0, 1);
    inputs.push(download("art: the twenty numbers of level 1 where there are fewer", level_1));
    inputs
}

/// Makes samples with loops, starts and ends outside of the data, and impossible rates and tunings.
pub(crate) fn samples() -> Vec<Input> {
    let mut inputs = Vec::new();
    for (start, length) in
        [(0, u32::MAX), (u32::MAX, 1), (99, 2), (100, 1), (0x7FFF_FFFF, 0x7FFF_FFFF), (u32::MAX, u32::MAX)]
    {
        let sample = wave_sample(20, &[[0, start, length]]);
        let parts = Parts { in_wave: vec![sample.clone()], ..Parts::default() };
        inputs.push(bank("samples: a wave's loop outside of the wave", parts.file()));
        let parts = Parts { in_region: vec![sample], ..Parts::default() };
        inputs.push(bank("samples: a region's loop outside of the wave", parts.file()));
        let mut bad = simple_instrument(5, 0, WAVE_ID, 8, &organ());
        put(&mut bad, 56 + 56 + 8, start);
        put(&mut bad, 56 + 56 + 12, length);
        inputs.push(download("samples: a download's loop outside of the wave", bad));
    }
    for (start, end) in [(0u32, u32::MAX), (u32::MAX, 0), (1000, 10), (0x4000_0000, 0x4000_0001)] {
        let mut font = Font::new(&[], &[(SAMPLE_MODES, 1)], 0.0);
        (font.header[0], font.header[1]) = (start, end);
        inputs.push(bank("samples: a SoundFont's sample outside of the data", font.file()));
        let mut font = Font::new(&[], &[(SAMPLE_MODES, 1)], 0.0);
        (font.header[2], font.header[3]) = (start, end);
        inputs.push(bank("samples: a SoundFont's loop outside of the sample", font.file()));
    }
    for generators in [
        [(4u16, i16::MAX), (SAMPLE_MODES, 1)],
        [(12, i16::MAX), (SAMPLE_MODES, 1)],
        [(45, i16::MIN), (SAMPLE_MODES, 3)],
    ] {
        inputs
            .push(bank("samples: a SoundFont's offsets outside of the data", Font::new(&[], &generators, 0.0).file()));
    }
    for rate in [0, 1, 192_000, 192_001, u32::MAX] {
        let format = [halves(&[1, 1]), words(&[rate, rate]), halves(&[2, 16])].concat();
        inputs.push(bank("samples: rates from nothing to everything", Parts { format, ..Parts::default() }.file()));
    }
    for (unity, tune) in [(0, i16::MIN), (127, i16::MAX), (u16::MAX, i16::MIN), (u16::MAX, i16::MAX)] {
        let mut sample = wave_sample(20, &[[0, 0, 100]]);
        sample[12..14].copy_from_slice(&unity.to_le_bytes());
        sample[14..16].copy_from_slice(&tune.to_le_bytes());
        inputs
            .push(bank("samples: tuned beyond hearing", Parts { in_region: vec![sample], ..Parts::default() }.file()));
    }
    inputs.push(bank("samples: a wave without any", Parts { data: vec![], ..Parts::default() }.file()));
    inputs.push(bank("samples: a loop of one", {
        Parts { data: vec![0, 0x40], in_wave: vec![wave_sample(20, &[[0, 0, 1]])], ..Parts::default() }.file()
    }));
    inputs
}

/// Counts and sizes whose sums and products are small again in 32 bits.
pub(crate) fn counts() -> Vec<Input> {
    let mut inputs = Vec::new();
    // The size of every chunk but the outermost: as large as can be, and so that header or pad byte make it nothing.
    const CODES: [&[u8; 4]; 9] = [b"LIST", b"colh", b"insh", b"rgnh", b"wlnk", b"wsmp", b"ptbl", b"fmt ", b"data"];
    let good = Parts { in_region: vec![wave_sample(20, &[[0, 0, 100]])], ..Parts::default() }.file();
    for at in 0..good.len() - 8 {
        if CODES.iter().any(|code| good[at..].starts_with(*code)) {
            for size in [u32::MAX, u32::MAX - 7, u32::MAX - 8, 0x7FFF_FFFF, 0x8000_0000] {
                let mut bad = good.clone();
                put(&mut bad, at + 4, size);
                inputs.push(bank("counts: a chunk of a size that wraps", bad));
            }
        }
    }
    let good = wave(WAVE_ID + 1, 48_000, &tone(0.0)[..16]);
    for count in WRAPS_BY_4 {
        let mut bad = good.clone();
        put(&mut bad, 8, count);
        inputs.push(download("counts: an offset table that wraps", bad));
    }
    for size in [u32::MAX, u32::MAX - 3, 0x8000_0000, 33] {
        let mut bad = good.clone();
        put(&mut bad, 24 + 32, size);
        inputs.push(download("counts: wave data of a size that wraps", bad));
        let mut bad = good.clone();
        put(&mut bad, 12, size);
        inputs.push(download("counts: a buffer of a size that wraps", bad));
        let mut bad = good.clone();
        put(&mut bad, 20, size.max(1 << 16) & !3);
        inputs.push(download("counts: an offset that wraps", bad));
    }
    inputs.push(download("counts: a region that is its own next", {
        buffer(INSTRUMENT2, 9, &[instrument(5, 1, 0, 0), region(1, WAVE_ID, 60, 8, 0)])
    }));
    inputs.push(download("counts: a wave without data", buffer(WAVE, 1, &[vec![0; 28]])));
    inputs
}

/// Returns all inputs.
pub(crate) fn all() -> Vec<Input> {
    [pool_tables(), articulations(), samples(), counts()].into_iter().flatten().collect()
}

/// Makes an instrument that sounds on for a while after its note has ended.
pub(crate) fn lingering(patch: u32, wave_id: u32) -> Vec<u8> {
    let mut rows = organ();
    rows.push(constant(d::EG1_RELEASE, crate::common::time(0.5)));
    simple_instrument(patch, 0, wave_id, TURN as u32, &rows)
}
