//! The cases of a scenario: the product of its matrix.

use std::ops::RangeInclusive;
use std::path::Path;

use card_control::Transport;
use toml::Spanned;

use super::case::Case;
use super::document::{Document, Matrix};
use super::malformed::{ScenarioError, Source};
use crate::sound::pcm::{BLOCK_FRAMES_MAX, SAMPLE_RATES};
use crate::sound::song_source::SongSource;
use crate::sound::songs;
use crate::testbed::QUANTUM_DEFAULT;

/// Most cases of one scenario: a typing error in a matrix must not run for a day.
const CASES_MAX: usize = 1000;

/// Returns the values of one dimension with their names: one unnamed value where the matrix does not list it.
fn dimension<T: Clone, U>(name: &str, listed: &[U], single: T, value: impl Fn(&U) -> (T, String)) -> Vec<(T, String)> {
    if listed.is_empty() {
        return vec![(single, String::new())];
    }
    listed
        .iter()
        .map(|item| {
            let (value, text) = value(item);
            (value, format!("{name}={text}"))
        })
        .collect()
}

/// Makes the cases of a file: the product of the dimensions, at least one.
///
/// # Errors
/// [`ScenarioError::Malformed`] when a value is out of its range, a song is unknown, or there are more than [`CASES_MAX`] cases.
pub(super) fn cases(file: Source<'_>, folder: &Path, document: &Document) -> Result<Vec<Case>, ScenarioError> {
    let Document { song, machine, card, stream, .. } = document;
    let unlisted = Matrix::default();
    let matrix = document.matrix.as_ref().map_or(&unlisted, Spanned::get_ref);
    let line = file.line(&document.matrix.as_ref().map_or(document.title.span(), Spanned::span));
    let within = |value: &Spanned<u32>, what: &str, range: &RangeInclusive<u32>| {
        if range.contains(value.get_ref()) {
            return Ok(());
        }
        Err(file.error(value.span(), &format!("{what} is from {} to {}", range.start(), range.end())))
    };
    for block in matrix.render_block.iter().chain(&card.render_block) {
        within(block, "render_block", &(1..=BLOCK_FRAMES_MAX))?;
    }
    for quantum in matrix.quantum.iter().chain(&stream.quantum) {
        within(quantum, "quantum", &(1..=BLOCK_FRAMES_MAX))?;
    }
    for rate in matrix.sample_rate.iter().chain(&stream.sample_rate) {
        within(rate, "sample_rate", &SAMPLE_RATES)?;
    }
    if let Some(repeat) = &matrix.repeat {
        within(repeat, "repeat", &(1..=u32::MAX))?;
    }
    let source = |song: &Spanned<String>| {
        SongSource::named(song.get_ref(), folder).ok_or_else(|| {
            let names = SongSource::names().join(", ");
            file.error(song.span(), &format!("no such song: name a file beside the scenario, or one of {names}"))
        })
    };
    let single_song = match song {
        Some(song) => source(song)?,
        None => SongSource::BuiltIn(&songs::ALL[0]),
    };
    let mut song_values = Vec::new();
    for song in &matrix.song {
        song_values.push((source(song)?, song.get_ref().clone()));
    }
    let song_axis = dimension("song", &song_values, single_song, Clone::clone);
    let transport_axis = dimension("transport", &matrix.transport, card.transport, |transport| {
        (*transport, transport.name().to_owned())
    });
    if card.guard && transport_axis.iter().any(|(transport, _)| *transport == Transport::VfioUser) {
        let message = "guard = true stands before vhost-user's socket: it has no transport = \"vfio-user\"";
        return Err(file.error_at_key("[card]", message));
    }
    let bars_axis = dimension("bars", &matrix.bars, machine.bars, |bars| (*bars, bars.name().to_owned()));
    let clock_axis = dimension("clock", &matrix.clock, card.clock, |clock| (*clock, clock.name().to_owned()));
    let spanned = |value: &Spanned<u32>| (*value.get_ref(), value.get_ref().to_string());
    let block = card.render_block.as_ref().map(|block| *block.get_ref());
    let block_axis = dimension("render_block", &matrix.render_block, block, |value| {
        let (value, text) = spanned(value);
        (Some(value), text)
    });
    let rate = stream.sample_rate.as_ref().map(|rate| *rate.get_ref());
    let rate_axis = dimension("sample_rate", &matrix.sample_rate, rate, |value| {
        let (value, text) = spanned(value);
        (Some(value), text)
    });
    let quantum = stream.quantum.as_ref().map_or(QUANTUM_DEFAULT, |quantum| *quantum.get_ref());
    let quantum_axis = dimension("quantum", &matrix.quantum, quantum, spanned);
    let repeats: Vec<u32> = (1..=matrix.repeat.as_ref().map_or(0, |repeat| *repeat.get_ref())).collect();
    let repeat_axis = dimension("repeat", &repeats, 0, |number| (*number, number.to_string()));

    let lengths = [
        song_axis.len(),
        transport_axis.len(),
        bars_axis.len(),
        clock_axis.len(),
        block_axis.len(),
        rate_axis.len(),
        quantum_axis.len(),
        repeat_axis.len(),
    ];
    let count = lengths.iter().product::<usize>();
    if count > CASES_MAX {
        return Err(file.error_at_key("[matrix]", &format!("{count} cases; at most {CASES_MAX} are run")));
    }
    // The last dimension counts fastest.
    let cases = (0..count).map(|number| {
        let mut rest = number;
        let mut places = lengths.map(|length| (length, 0));
        for (length, place) in places.iter_mut().rev() {
            *place = rest % *length;
            rest /= *length;
        }
        let [song, transport, bars, clock, block, rate, quantum, repeat] = places.map(|(_, place)| place);
        let (song, song_name) = &song_axis[song];
        let (transport, transport_name) = &transport_axis[transport];
        let (bars, bars_name) = &bars_axis[bars];
        let (clock, clock_name) = &clock_axis[clock];
        let (render_block, block_name) = &block_axis[block];
        let (sample_rate, rate_name) = &rate_axis[rate];
        let (quantum, quantum_name) = &quantum_axis[quantum];
        let (repetition, repeat_name) = &repeat_axis[repeat];
        let names =
            [song_name, transport_name, bars_name, clock_name, block_name, rate_name, quantum_name, repeat_name];
        let named: Vec<&str> = names.into_iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        Case {
            name: named.join(" "),
            line,
            driver: None,
            song: song.clone(),
            transport: *transport,
            bars: *bars,
            clock: *clock,
            render_block: *render_block,
            guard: card.guard,
            sandbox: card.sandbox,
            bank: card.bank.as_ref().map(|bank| folder.join(bank)),
            sample_rate: *sample_rate,
            quantum: *quantum,
            tail_ms: stream.tail_ms,
            lead_ms: stream.lead_ms,
            repetition: *repetition,
        }
    });
    Ok(cases.collect())
}
