//! A [`Collection`] as a DLS level 2 file.

use std::collections::{BTreeMap, BTreeSet};

use super::chunk_path::FourCc;
use super::collection::{Collection, Connection, Instrument, Region, Wave, WaveSample};
use super::riff::{write_chunk, write_list};
use super::spec::{FORMAT_PCM, KEY_GROUP_MAX, LOOP_FORWARD, LOOP_RELEASE, NULL_CUE};

impl Collection {
    /// Writes a DLS level 2 file: 16-bit waves, `rgn2` regions and `art2` articulations. Of an instrument with more than 15
    /// key groups, which only a SoundFont has, the regions of the others are in none.
    #[must_use]
    pub fn to_dls(&self) -> Vec<u8> {
        let mut pool = Vec::new();
        let mut cues = Vec::with_capacity(self.waves.len());
        for entry in &self.waves {
            cues.push(entry.as_ref().map_or(NULL_CUE, |_| pool.len() as u32));
            if let Some(wave) = entry {
                write_wave(&mut pool, wave);
            }
        }
        let mut out = Vec::with_capacity(pool.len() + 65_536);
        write_list(&mut out, b"RIFF", b"DLS ", |out| {
            write_chunk(out, b"colh", |out| words(out, &[self.instruments.len() as u32]));
            write_list(out, b"LIST", b"lins", |out| {
                for instrument in &self.instruments {
                    write_instrument(out, instrument);
                }
            });
            write_chunk(out, b"ptbl", |out| {
                words(out, &[8, cues.len() as u32]);
                words(out, &cues);
            });
            write_list(out, b"LIST", b"wvpl", |out| out.extend_from_slice(&pool));
            write_info(out, &[(b"INAM", &self.name), (b"ICOP", &self.copyright)]);
        });
        out
    }
}

fn words(out: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

fn halves(out: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

/// Writes `INFO` with the texts that are not empty, each with the zero byte that ends it.
fn write_info(out: &mut Vec<u8>, texts: &[(&FourCc, &str)]) {
    if texts.iter().all(|(_, text)| text.is_empty()) {
        return;
    }
    write_list(out, b"LIST", b"INFO", |out| {
        for (id, text) in texts.iter().filter(|(_, text)| !text.is_empty()) {
            write_chunk(out, id, |out| {
                out.extend_from_slice(text.as_bytes());
                out.push(0);
            });
        }
    });
}

fn write_wave(out: &mut Vec<u8>, wave: &Wave) {
    write_list(out, b"LIST", b"wave", |out| {
        write_chunk(out, b"fmt ", |out| {
            halves(out, &[FORMAT_PCM, 1]);
            words(out, &[wave.sample_rate, wave.sample_rate * 2]);
            halves(out, &[2, 16]);
        });
        write_chunk(out, b"data", |out| {
            wave.samples().iter().for_each(|sample| out.extend_from_slice(&sample.to_le_bytes()));
        });
        wave.sample.iter().for_each(|sample| write_wave_sample(out, sample));
        write_info(out, &[(b"INAM", &wave.name)]);
    });
}

fn write_wave_sample(out: &mut Vec<u8>, sample: &WaveSample) {
    write_chunk(out, b"wsmp", |out| {
        words(out, &[20]);
        halves(out, &[sample.unity_note, sample.fine_tune as u16]);
        words(out, &[sample.gain as u32, sample.options, u32::from(sample.sample_loop.is_some())]);
        if let Some(found) = &sample.sample_loop {
            let kind = if found.until_release { LOOP_RELEASE[0] } else { LOOP_FORWARD };
            words(out, &[16, kind, found.start, found.length]);
        }
    });
}

fn write_instrument(out: &mut Vec<u8>, instrument: &Instrument) {
    write_list(out, b"LIST", b"ins ", |out| {
        let (bank, program) = instrument.patch.to_header();
        write_chunk(out, b"insh", |out| words(out, &[instrument.regions.len() as u32, bank, program]));
        let groups = key_groups(instrument);
        write_list(out, b"LIST", b"lrgn", |out| {
            let group_of = |region: &Region| groups.get(&region.key_group).copied().unwrap_or(0);
            instrument.regions.iter().for_each(|region| write_region(out, region, group_of(region)));
        });
        if !instrument.articulation.is_empty() {
            write_articulation(out, &instrument.articulation);
        }
        write_info(out, &[(b"INAM", &instrument.name)]);
    });
}

/// Returns the key groups of an instrument by what they are in a file: as they are, or numbered anew where one is beyond
/// what DLS has. Those for which there is no number are none.
fn key_groups(instrument: &Instrument) -> BTreeMap<u16, u16> {
    let groups: BTreeSet<u16> =
        instrument.regions.iter().map(|region| region.key_group).filter(|group| *group != 0).collect();
    if groups.iter().all(|group| *group <= KEY_GROUP_MAX) {
        return groups.into_iter().map(|group| (group, group)).collect();
    }
    groups.into_iter().zip(1..=KEY_GROUP_MAX).collect()
}

fn write_region(out: &mut Vec<u8>, region: &Region, key_group: u16) {
    write_list(out, b"LIST", b"rgn2", |out| {
        write_chunk(out, b"rgnh", |out| {
            let ((key_low, key_high), (velocity_low, velocity_high)) = (region.keys, region.velocities);
            halves(out, &[key_low, key_high, velocity_low, velocity_high, region.options, key_group, 0]);
        });
        region.sample.iter().for_each(|sample| write_wave_sample(out, sample));
        write_chunk(out, b"wlnk", |out| {
            halves(out, &[region.link.options, region.link.phase_group]);
            words(out, &[region.link.channels, region.link.index]);
        });
        region.articulation.iter().for_each(|connections| write_articulation(out, connections));
    });
}

fn write_articulation(out: &mut Vec<u8>, connections: &[Connection]) {
    write_list(out, b"LIST", b"lar2", |out| {
        write_chunk(out, b"art2", |out| {
            words(out, &[8, connections.len() as u32]);
            for connection in connections {
                let Connection { source, control, destination, transform, scale } = *connection;
                halves(out, &[source, control, destination, transform]);
                words(out, &[scale as u32]);
            }
        });
    });
}
