//! RIFF files in the making: whole ones, and ones with exactly one thing wrong.

/// Makes a chunk.
pub(crate) fn chunk(id: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut out = [&id[..], &(data.len() as u32).to_le_bytes(), data].concat();
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

pub(crate) fn list(form: &[u8; 4], children: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"LIST", &[&form[..], &children.concat()].concat())
}

pub(crate) fn riff(children: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"RIFF", &[&b"DLS "[..], &children.concat()].concat())
}

pub(crate) fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

pub(crate) fn halves(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Returns where these bytes are in a file for the first time.
#[track_caller]
pub(crate) fn find(file: &[u8], needle: &[u8]) -> usize {
    file.windows(needle.len()).position(|part| part == needle).expect("the file has it")
}

/// Returns the bytes of a conditional chunk's constant.
pub(crate) fn constant_word(value: u32) -> Vec<u8> {
    [halves(&[0x10]), words(&[value])].concat()
}

/// The parts of a DLS file of one instrument of one region of one wave, each to be replaced.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) colh: Vec<u8>,
    pub(crate) insh: Vec<u8>,
    pub(crate) rgnh: Vec<u8>,
    pub(crate) wlnk: Vec<u8>,
    pub(crate) ptbl: Vec<u8>,
    pub(crate) format: Vec<u8>,
    pub(crate) data: Vec<u8>,
    /// More in the file, the instrument, the region, the wave.
    pub(crate) top: Vec<Vec<u8>>,
    pub(crate) in_instrument: Vec<Vec<u8>>,
    pub(crate) in_region: Vec<Vec<u8>>,
    pub(crate) in_wave: Vec<Vec<u8>>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            colh: words(&[1]),
            insh: words(&[1, 0, 0]),
            rgnh: halves(&[0, 127, 0, 127, 0, 0]),
            wlnk: [halves(&[0, 0]), words(&[1, 0])].concat(),
            ptbl: words(&[8, 1, 0]),
            format: [halves(&[1, 1]), words(&[22_050, 44_100]), halves(&[2, 16])].concat(),
            data: (0..100i16).flat_map(|i| (i * 300).to_le_bytes()).collect(),
            top: Vec::new(),
            in_instrument: Vec::new(),
            in_region: Vec::new(),
            in_wave: Vec::new(),
        }
    }
}

impl Parts {
    pub(crate) fn wave(&self) -> Vec<u8> {
        let children = [vec![chunk(b"fmt ", &self.format), chunk(b"data", &self.data)], self.in_wave.clone()].concat();
        list(b"wave", &children)
    }

    pub(crate) fn region(&self) -> Vec<u8> {
        let children = [vec![chunk(b"rgnh", &self.rgnh), chunk(b"wlnk", &self.wlnk)], self.in_region.clone()].concat();
        list(b"rgn2", &children)
    }

    pub(crate) fn instrument(&self) -> Vec<u8> {
        let children =
            [vec![chunk(b"insh", &self.insh), list(b"lrgn", &[self.region()])], self.in_instrument.clone()].concat();
        list(b"ins ", &children)
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        let children = vec![
            chunk(b"colh", &self.colh),
            list(b"lins", &[self.instrument()]),
            chunk(b"ptbl", &self.ptbl),
            list(b"wvpl", &[self.wave()]),
        ];
        riff(&[children, self.top.clone()].concat())
    }
}

/// Makes a `wsmp` with these loops, each a type, a start and a length.
pub(crate) fn wave_sample(size: u32, loops: &[[u32; 3]]) -> Vec<u8> {
    let mut out = [words(&[size]), halves(&[60, 0]), words(&[0, 0, loops.len() as u32])].concat();
    out.resize(size.max(20) as usize, 0xEE);
    loops.iter().for_each(|[kind, start, length]| out.extend(words(&[16, *kind, *start, *length])));
    chunk(b"wsmp", &out)
}

/// Makes a connection block: source, control, destination, transform, scale.
pub(crate) fn block(ids: [u16; 4], scale: i32) -> Vec<u8> {
    [halves(&ids), words(&[scale as u32])].concat()
}

/// Makes a `lar2` around one `art2` that counts so many blocks.
pub(crate) fn articulation(count: u32, blocks: &[Vec<u8>]) -> Vec<u8> {
    list(b"lar2", &[chunk(b"art2", &[words(&[8, count]), blocks.concat()].concat())])
}
