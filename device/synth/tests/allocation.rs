//! Messages and rendering take no memory and give none back: threads that must not wait may do both.

#![allow(unsafe_code, reason = "a global allocator is unsafe by its trait")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use common::download::{simple_instrument, wave as wave_download};
use common::*;
use dls_synth::dls::spec::transform::{LINEAR, SOURCE_BIPOLAR};
use dls_synth::dls::spec::{REGION_SELF_NON_EXCLUSIVE, destination as d, source as s};
use dls_synth::dls::{Instrument, Patch, Region};
use dls_synth::{Bank, Synth, SynthConfig, Unload};

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting.
struct Counting;

// SAFETY: all of it is the system's; counting is in a cell that needs no memory and is never dropped.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promises go on to the system.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promises go on to the system.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn messages_and_rendering_allocate_no_memory() {
    // A filter whose resonance follows the velocity; layers; a voice that ends with its wave, one with its envelope.
    let rows = vec![
        constant(d::FILTER_CUTOFF, cents(7000.0)),
        connection(s::VELOCITY, s::NONE, d::FILTER_Q, LINEAR, decibels(12.0)),
        connection(s::LFO, s::NONE, d::FILTER_CUTOFF, SOURCE_BIPOLAR, cents(600.0)),
        constant(d::EG1_RELEASE, time(0.05)),
    ];
    let wave_of = |seed: u64| {
        let mut random = Random(seed);
        wave(&(0..3000).map(|_| (random.below(40_000) as i32 - 20_000) as i16).collect::<Vec<_>>())
    };
    let long = Region { options: REGION_SELF_NON_EXCLUSIVE, ..region(0, looped(100, 2000)) };
    let short = region(1, looped(50, 7));
    let once = region(1, dls_synth::dls::WaveSample::default());
    let mut bank = collection(vec![long, short, once], vec![wave_of(1), wave_of(2)]);
    bank.instruments[0].articulation = rows;
    bank.instruments.push(Instrument {
        patch: Patch { program: 1, ..Patch::default() },
        regions: bank.instruments[0].regions[1..].to_vec(),
        ..Instrument::default()
    });
    let mut synth =
        Synth::new(SynthConfig { voices: 24, ..SynthConfig::default() }, Arc::new(Bank::from_collection(&bank)))
            .unwrap();
    let mut out = vec![[0; 2]; 480];
    let mut random = Random(77);

    let before = CALLS.get();
    let mut most = 0;
    for _ in 0..4000 {
        let channel = random.below(16) as u8;
        let mut data = || random.below(128) as u8;
        let message = match data() % 9 {
            0..=3 => [0x90 | channel, data(), data()],
            4 => [0x80 | channel, data(), 0],
            5 => [0xE0 | channel, data(), data()],
            6 => [0xC0 | channel, data() & 1, 0],
            7 => [0xA0 | channel, data(), data()],
            _ => [0xB0 | channel, data(), data()],
        };
        synth.midi(0, &message);
        let frames = random.below(out.len());
        synth.render_i16(&mut out[..frames]);
        most = most.max(synth.active_voices());
    }
    synth.midi(0, &[0xF0, 0x7E, 0x7F, 0x09, 0x01, 0xF7]);
    synth.all_sound_off();
    synth.render_i16(&mut out);
    assert_eq!(CALLS.get() - before, 0, "calls of the allocator");
    assert!(most == 24 && synth.notes_lost() > 100, "it must have been busy: {most}, {}", synth.notes_lost());
}

#[test]
fn rendering_frees_no_memory_at_the_end_of_the_last_voice_of_an_unloading_download() {
    const DOWNLOADS: u8 = 20;
    type End = fn(&mut Synth);
    let mut synth = plain_synth(SynthConfig { voices: 40, ..dry() }, &tone_collection(0.0, &organ()));
    let all = synth.free_download_memory();
    let mut out = vec![[0; 2]; 480];
    let endings: [(&str, End); 3] = [
        ("note-off", |synth| (0..DOWNLOADS).for_each(|i| synth.midi(0, &[0x80 | (i % 8), 60 + i, 0]))),
        ("All Sound Off", |synth| (0..8).for_each(|channel| synth.midi(0, &[0xB0 | channel, 120, 0]))),
        ("for want of voices", |synth| {
            // The highest priority of these channels, and an instrument of the bank.
            synth.midi(0, &[0xC0, 0]);
            (0..127).for_each(|key| synth.midi(0, &[0x90, key, 100]));
        }),
    ];
    for (how, end) in endings {
        let mut handles = Vec::new();
        for program in 0..DOWNLOADS {
            handles.push(synth.download(&wave_download(program.into(), RATE, &tone(0.0))).unwrap());
            let instrument = simple_instrument(program.into(), 0, program.into(), TURN as u32, &organ());
            handles.push(synth.download(&instrument).unwrap());
            synth.midi(0, &[0xC0 | (program % 8), program]);
            synth.midi(0, &[0x90 | (program % 8), 60 + program, 100]);
        }
        synth.render_i16(&mut out);
        let pending = handles.iter().filter(|handle| synth.unload(**handle) == Ok(Unload::Pending)).count();
        assert_eq!(pending, handles.len(), "{how}: all must sound");

        let before = CALLS.get();
        end(&mut synth);
        for _ in 0..20 {
            synth.render_i16(&mut out);
        }
        assert_eq!(CALLS.get() - before, 0, "{how}: calls of the allocator");

        assert_eq!(synth.free_download_memory(), all, "{how}: what has ended may be used again");
        let before = CALLS.get();
        let mut taken: Vec<_> = std::iter::from_fn(|| synth.take_unloaded()).collect();
        assert!(CALLS.get() - before >= handles.len(), "{how}: given back now");
        taken.sort_unstable_by_key(|handle| handle.get());
        assert_eq!(taken, handles, "{how}");
        synth.reset();
    }
}
