//! The cases of a scenario: the product of its matrix, with what it includes and without what it excludes.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use card_control::Transport;
use guest_protocol::options::MESSAGES_MAX;
use toml::Spanned;

use super::case::Case;
use super::document::{CppDriver, Document};
use super::malformed::{ScenarioError, Source};
use super::matrix_table::{AXES, Combination, Matrix};
use super::variant_table::{cpp_drivers, with_cpp_drivers};
use crate::sound::pcm::{BLOCK_FRAMES_MAX, SAMPLE_RATES};
use crate::sound::song_source::SongSource;
use crate::sound::songs;
use crate::testbed::QUANTUM_DEFAULT;

/// Most cases of one scenario: a typing error in a matrix must not run for a day.
pub const CASES_MAX: usize = 1000;

/// Makes the cases of a file, at least one.
///
/// # Errors
/// [`ScenarioError::Malformed`] when a value is out of its range, a song is unknown, a combination is excluded that there is not or
/// included twice, or there are more than [`CASES_MAX`] cases.
pub(super) fn cases(file: Source<'_>, folder: &Path, document: &Document) -> Result<Vec<Case>, ScenarioError> {
    let unlisted = Matrix::default();
    let matrix = document.matrix.as_ref().map_or(&unlisted, Spanned::get_ref);
    let of_matrix = file.line(&document.matrix.as_ref().map_or(document.title.span(), Spanned::span));
    let mut combinations: Vec<(usize, Combination)> =
        product(file, matrix)?.into_iter().map(|combination| (of_matrix, combination)).collect();
    for excluded in &matrix.exclude {
        let values = excluded.get_ref().values();
        let has_all = |combination: &Combination| {
            let own = combination.values();
            values.iter().all(|value| own.contains(value))
        };
        let before = combinations.len();
        if !values.is_empty() {
            combinations.retain(|(_, combination)| !has_all(combination));
        }
        if combinations.len() == before {
            return Err(
                file.error(excluded.span(), "this excludes nothing: no combination of the matrix has all of it")
            );
        }
    }
    for included in &matrix.include {
        combinations.push((file.line(&included.span()), included.get_ref().clone()));
    }
    if combinations.is_empty() {
        return Err(file.error_at_key("[matrix]", "no case is left: exclude leaves out every combination"));
    }
    let mut cases = Vec::new();
    let mut names = BTreeSet::new();
    for (line, combination) in &combinations {
        let case = case(file, folder, document, combination, *line)?;
        if !names.insert(case.name.clone()) {
            let name = if case.name.is_empty() { "one without a value".into() } else { format!("[{}]", case.name) };
            let span =
                matrix.include.iter().find(|table| file.line(&table.span()) == *line).map_or(0..0, Spanned::span);
            return Err(file.error(span, &format!("there is already a case {name}")));
        }
        let named = combination.cpp_driver.as_ref().map(|name| CppDriver::from(name.get_ref().clone()));
        match named.as_ref().or(document.cpp_driver.as_ref()) {
            Some(kind) => cases.extend(with_cpp_drivers(&cpp_drivers(folder), kind, &[case])?),
            None => cases.push(case),
        }
    }
    if document.cpp_driver.is_some() {
        // Each driver with all its cases, as its table lists them.
        let drivers: Vec<_> =
            cases.iter().filter_map(|case| case.driver.clone()).fold(Vec::new(), |mut all, driver| {
                if !all.contains(&driver) {
                    all.push(driver);
                }
                all
            });
        cases.sort_by_key(|case| case.driver.as_ref().and_then(|driver| drivers.iter().position(|it| it == driver)));
    }
    if cases.len() > CASES_MAX {
        return Err(too_many(
            file,
            &format!("{} combinations, each with its drivers", combinations.len()),
            cases.len(),
        ));
    }
    Ok(cases)
}

/// Returns the combinations of the axes that a matrix lists; one without values where it lists none, unless it includes some.
fn product(file: Source<'_>, matrix: &Matrix) -> Result<Vec<Combination>, ScenarioError> {
    let lengths = matrix.lengths();
    let listed = AXES.iter().zip(&lengths).filter(|(_, length)| **length > 0);
    let text: Vec<String> = listed.map(|(name, length)| format!("{name} {length}")).collect();
    if text.is_empty() {
        let count = usize::from(matrix.include.is_empty());
        return Ok(vec![Combination::default(); count]);
    }
    let factors = || lengths.iter().map(|length| (*length).max(1));
    let count = factors().fold(1, usize::saturating_mul);
    if count.saturating_add(matrix.include.len()) > CASES_MAX {
        return Err(too_many(file, &text.join(" x "), count.saturating_add(matrix.include.len())));
    }
    // The last axis counts fastest.
    let combination = |number: usize| {
        let mut rest = number;
        let mut places = vec![0; lengths.len()];
        for (place, length) in places.iter_mut().zip(factors().collect::<Vec<_>>()).rev() {
            (*place, rest) = (rest % length, rest / length);
        }
        matrix.combination(&places)
    };
    Ok((0..count).map(combination).collect())
}

fn too_many(file: Source<'_>, product: &str, count: usize) -> ScenarioError {
    let message = format!(
        "{product} = {count} cases; at most {CASES_MAX} are run: list fewer values, or make several \
         scenarios"
    );
    file.error_at_key("[matrix]", &message)
}

/// Returns the value of an axis, or what the scenario says without it.
fn value<T: Clone>(axis: Option<&Spanned<T>>, own: &T) -> T {
    axis.map_or_else(|| own.clone(), |value| value.get_ref().clone())
}

/// Makes the case of a combination.
fn case(
    file: Source<'_>,
    folder: &Path,
    document: &Document,
    combination: &Combination,
    line: usize,
) -> Result<Case, ScenarioError> {
    let Document { card, stream, .. } = document;
    let within = |value: Option<&Spanned<u32>>, what: &str, range: &RangeInclusive<u32>| match value {
        Some(value) if !range.contains(value.get_ref()) => {
            Err(file.error(value.span(), &format!("{what} is from {} to {}", range.start(), range.end())))
        }
        value => Ok(value.map(|value| *value.get_ref())),
    };
    let render_block = combination.render_block.as_ref().or(card.render_block.as_ref());
    let quantum = combination.quantum.as_ref().or(stream.quantum.as_ref());
    let sample_rate = combination.sample_rate.as_ref().or(stream.sample_rate.as_ref());
    let render_block = within(render_block, "render_block", &(1..=BLOCK_FRAMES_MAX))?;
    let quantum = within(quantum, "quantum", &(1..=BLOCK_FRAMES_MAX))?;
    let sample_rate = within(sample_rate, "sample_rate", &SAMPLE_RATES)?;
    let repeat = within(combination.repeat.as_ref(), "repeat", &(1..=u32::MAX))?;

    let mut machine = document.machine;
    machine.processors = value(combination.processors.as_ref(), &machine.processors);
    machine.delays = value(combination.delays.as_ref(), &machine.delays);
    machine.seed = combination.seed.as_ref().map_or(machine.seed, |seed| Some(*seed.get_ref()));
    machine.interrupts = value(combination.interrupts.as_ref(), &machine.interrupts);
    machine.messages = combination.messages.as_ref().map_or(machine.messages, |count| Some(*count.get_ref()));
    machine.bars = value(combination.bars.as_ref(), &machine.bars);
    machine.windows = value(combination.windows.as_ref(), &machine.windows);
    machine.restarts = value(combination.restarts.as_ref(), &machine.restarts);
    if !(1..=2).contains(&machine.processors) {
        return Err(at(file, combination.processors.as_ref(), "processors", "the guest has 1 or 2 processors"));
    }
    if machine.messages.is_some_and(|count| !(1..=MESSAGES_MAX).contains(&u16::from(count))) {
        let message = format!("the guest has 1 to {MESSAGES_MAX} messages for a device");
        return Err(at(file, combination.messages.as_ref(), "messages", &message));
    }
    let transport = value(combination.transport.as_ref(), &card.transport);
    let guard = value(combination.guard.as_ref(), &card.guard);
    if guard && transport == Transport::VfioUser {
        let message = "guard = true stands before vhost-user's socket: it has no transport = \"vfio-user\"";
        return Err(at(file, combination.guard.as_ref(), "[card]", message));
    }
    if let Some(name) = combination.cpp_driver.as_ref()
        && matches!(CppDriver::from(name.get_ref().clone()), CppDriver::Broken | CppDriver::Passing)
    {
        let message = "an axis names one driver or variant a case: broken and passing are cpp_driver beside the title";
        return Err(file.error(name.span(), message));
    }
    let values = combination.values();
    let named: Vec<String> = values.iter().map(|(axis, text)| format!("{axis}={text}")).collect();
    Ok(Case {
        name: named.join(" "),
        axes: values.into_iter().map(|(axis, text)| (axis.to_owned(), text)).collect(),
        line,
        guest: value(combination.guest.as_ref(), &document.guest),
        image: combination.driver.as_ref().map(Spanned::get_ref).or(document.driver.as_ref()).map(|it| folder.join(it)),
        driver: None,
        song: song(file, folder, combination.song.as_ref().or(document.song.as_ref()))?,
        machine,
        transport,
        clock: value(combination.clock.as_ref(), &card.clock),
        render_block,
        guard,
        sandbox: value(combination.sandbox.as_ref(), &card.sandbox),
        bank: combination.bank.as_ref().map(Spanned::get_ref).or(card.bank.as_ref()).map(|bank| folder.join(bank)),
        sample_rate,
        quantum: quantum.unwrap_or(QUANTUM_DEFAULT),
        tail_ms: value(combination.tail_ms.as_ref(), &stream.tail_ms),
        lead_ms: value(combination.lead_ms.as_ref(), &stream.lead_ms),
        repetition: repeat.unwrap_or_default(),
    })
}

/// Creates the error of an axis's value, or of the key that it stands for.
fn at<T>(file: Source<'_>, value: Option<&Spanned<T>>, key: &str, message: &str) -> ScenarioError {
    value.map_or_else(|| file.error_at_key(key, message), |value| file.error(value.span(), message))
}

/// Finds a song: a built-in one, or a file beside the scenario.
fn song(file: Source<'_>, folder: &Path, named: Option<&Spanned<String>>) -> Result<SongSource, ScenarioError> {
    let Some(named) = named else { return Ok(SongSource::BuiltIn(&songs::ALL[0])) };
    SongSource::named(named.get_ref(), folder).ok_or_else(|| {
        let names = SongSource::names().join(", ");
        file.error(named.span(), &format!("no such song: name a file beside the scenario, or one of {names}"))
    })
}

#[cfg(test)]
mod tests {
    use card_control::Sandbox;

    use super::super::file::Scenario;
    use super::*;
    use crate::machine::conditions::{Bars, Interrupts, Windows};

    fn parse(rest: &str) -> Result<Scenario, String> {
        let text = format!("title = 't'\n[matrix]\n{rest}");
        Scenario::parse(Source { path: Path::new("folder/x.toml"), text: &text }).map_err(|error| error.to_string())
    }

    fn names(rest: &str) -> Vec<String> {
        parse(rest).unwrap().cases.into_iter().map(|case| case.name).collect()
    }

    #[test]
    fn every_option_of_a_case_has_an_axis() {
        let rest = "driver = ['a.sys']\nguest = ['nt-host']\nguard = [true]\nsandbox = ['off']\nbars = ['above-4g']\nwindows = ['6.1']\n\
                    interrupts = ['message']\nmessages = [2]\nprocessors = [2]\nrestarts = [3]\ndelays = [true]\n\
                    seed = ['1f']\nbank = ['b.dls']\ntail_ms = [7]\nlead_ms = [8]\n";
        let scenario = parse(rest).unwrap();
        let case = &scenario.cases[0];
        let machine = case.machine;
        assert_eq!((machine.processors, machine.restarts, machine.messages), (2, 3, Some(2)));
        assert_eq!((machine.bars, machine.interrupts, machine.delays), (Bars::Above4G, Interrupts::Message, true));
        assert_eq!(machine.windows, Windows::Seven);
        assert_eq!((machine.seed.map(|seed| seed.0), case.tail_ms, case.lead_ms), (Some(0x1f), 7, 8));
        assert_eq!((case.guard, case.sandbox), (true, Sandbox::Off));
        assert_eq!(case.image.as_deref(), Some(Path::new("folder/a.sys")));
        assert_eq!(case.bank.as_deref(), Some(Path::new("folder/b.dls")));
        assert!(case.name.contains("interrupts=message messages=2 processors=2") && case.has("seed", "1f"));
        let built = parse("cpp_driver = ['softsynth', 'dmusfix:event_leaked']").unwrap();
        let variants: Vec<_> = built.cases.iter().map(|case| case.driver.as_ref().unwrap().variant.clone()).collect();
        assert_eq!(variants, [None, Some("event_leaked".into())]);
    }

    #[test]
    fn a_combination_is_excluded_by_all_its_values_and_included_by_itself() {
        let rest = "song = ['tide', 'siren']\nquantum = [64, 480]\n\
                    exclude = [{ song = 'siren', quantum = 64 }]\ninclude = [{ song = 'siren', sample_rate = 22050 }]\n";
        let expected =
            ["song=tide quantum=64", "song=tide quantum=480", "song=siren quantum=480", "song=siren sample_rate=22050"];
        assert_eq!(names(rest), expected);
        assert_eq!(parse(rest).unwrap().cases.iter().map(|case| case.line).collect::<Vec<_>>(), [2, 2, 2, 6]);
        assert_eq!(names("include = [{ quantum = 64 }, { quantum = 480 }]"), ["quantum=64", "quantum=480"]);
    }

    #[test]
    fn refuses_combinations_that_change_nothing_or_repeat_a_case() {
        for (rest, line, part) in [
            ("song = ['tide']\nexclude = [{ song = 'siren' }]", 4, "this excludes nothing"),
            ("song = ['tide']\nexclude = [{}]", 4, "this excludes nothing"),
            ("song = ['tide']\nexclude = [{ song = 'tide' }]", 2, "no case is left"),
            ("song = ['tide']\ninclude = [{ song = 'tide' }]", 4, "already a case [song=tide]"),
            ("song = ['tide']\ninclude = [{ sing = 'tide' }]", 4, "did you mean `song`"),
            ("processors = [1, 3]", 3, "1 or 2 processors"),
            ("messages = [9]", 3, "1 to 8 messages"),
            ("seed = ['x']", 3, "hexadecimal"),
            ("cpp_driver = ['broken']", 3, "one driver or variant a case"),
            ("guard = [true]\ntransport = ['vfio-user']", 3, "has no transport"),
            ("quantum = [0]", 3, "quantum is from 1"),
        ] {
            let error = parse(rest).unwrap_err();
            assert!(error.contains(&format!("x.toml:{line}:")) && error.contains(part), "{rest}: {error}");
        }
    }

    #[test]
    fn a_product_beyond_the_bound_is_refused_by_its_factors_before_it_is_made() {
        let error = parse("song = ['tide', 'siren']\nquantum = [64, 480]\nrepeat = 250000\n").unwrap_err();
        assert!(error.contains("song 2 x quantum 2 x repeat 250000 = 1000000 cases"), "{error}");
        assert!(error.contains(&format!("at most {CASES_MAX}")) && error.contains("x.toml:2:1"), "{error}");
        let most = format!("song = ['tide', 'siren']\nrepeat = {}", u32::MAX);
        assert!(parse(&most).unwrap_err().contains("8589934590 cases"));
        let limit = format!("repeat = {CASES_MAX}");
        assert_eq!(names(&limit).len(), CASES_MAX);
        assert!(parse(&format!("{limit}\ninclude = [{{ song = 'tide' }}]")).is_err());
    }
}
