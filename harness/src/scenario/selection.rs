//! Chooses the cases of a run.

use card_control::Transport;

use super::case::Case;
use super::file::Scenario;
use super::last_run::LastRun;
use super::shard::Shard;
use crate::conformance::Dice;

/// How many cases that stream a song take about as long as one of another test: rounds, probes and kills take many guests each.
const WEIGHT_OF_KIND: usize = 20;

/// A set of scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Set {
    /// The small set for each push: scenarios with integration = true
    Integration,
    /// All
    Full,
}

/// What chooses the cases of a run. Each part that is there must hold.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// A part of the full name of a case, or the name of a part of a test.
    pub filter: Option<String>,
    /// One of these tags.
    pub tags: Vec<String>,
    /// None of these tags.
    pub not_tags: Vec<String>,
    /// A set.
    pub set: Option<Set>,
    /// Cases that failed in the last run.
    pub last_failed: Option<LastRun>,
    /// The transport that replaces the scenarios': of a matrix that has it and others, the cases with it.
    pub transport: Option<Transport>,
    /// A part of what the others choose.
    pub shard: Option<Shard>,
    /// The seed of another order of scenarios, and of cases in each.
    pub shuffle: Option<u64>,
}

impl Selection {
    /// Returns the scenarios with the cases that are chosen, in their order or in that of the seed.
    #[must_use]
    pub fn choose(&self, scenarios: Vec<Scenario>) -> Vec<Scenario> {
        let mut chosen: Vec<Scenario> = scenarios.into_iter().filter_map(|scenario| self.cases_of(&scenario)).collect();
        if let Some(shard) = self.shard {
            chosen = part(shard, &chosen);
        }
        if let Some(seed) = self.shuffle {
            let mut dice = Dice::new(seed);
            shuffle(&mut chosen, &mut dice);
            chosen.iter_mut().for_each(|scenario| shuffle(&mut scenario.cases, &mut dice));
        }
        chosen
    }

    /// Returns a scenario with its cases that are chosen, but for the parts of a run.
    fn cases_of(&self, scenario: &Scenario) -> Option<Scenario> {
        let has = |tag: &String| scenario.tags.contains(tag);
        let is_tagged = (self.tags.is_empty() || self.tags.iter().any(has)) && !self.not_tags.iter().any(has);
        if !is_tagged || (self.set == Some(Set::Integration) && !scenario.integration) {
            return None;
        }
        let over: Vec<&str> = scenario.cases_over(self.transport).map(|case| case.name.as_str()).collect();
        let filter = self.filter.as_deref();
        let is_named = |case: &Case| filter.is_none_or(|text| scenario.full_name(case).contains(text));
        // The name of a part of a test, such as a probe, chooses that test.
        let part = filter.is_some_and(|text| !scenario.cases.iter().any(&is_named) && scenario.has_case(text));
        scenario.narrowed(|case| {
            let failed = |last: &LastRun| last.has_failed(&scenario.path, &scenario.full_name(case));
            over.contains(&case.name.as_str())
                && (part || is_named(case))
                && self.last_failed.as_ref().is_none_or(failed)
        })
    }
}

/// Returns the cases of a part of a run. Cases that are compared with each other stay together.
fn part(shard: Shard, scenarios: &[Scenario]) -> Vec<Scenario> {
    let together = |scenario: &Scenario| scenario.expect.same_pcm;
    let weights: Vec<usize> = scenarios
        .iter()
        .flat_map(|scenario| {
            let of_case = if scenario.test.is_some() { WEIGHT_OF_KIND } else { 1 };
            let (units, weight) =
                if together(scenario) { (1, of_case * scenario.cases.len()) } else { (scenario.cases.len(), of_case) };
            vec![weight; units]
        })
        .collect();
    let mut held = shard.holds(&weights).into_iter();
    let mut next = || held.next().unwrap_or_default();
    scenarios
        .iter()
        .filter_map(
            |scenario| {
                if together(scenario) { next().then(|| scenario.clone()) } else { scenario.narrowed(|_| next()) }
            },
        )
        .collect()
}

/// Puts items into an order that the dice choose (Fisher and Yates).
fn shuffle<T>(items: &mut [T], dice: &mut Dice) {
    for last in (1..items.len()).rev() {
        items.swap(last, dice.below(last as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::malformed::Source;
    use super::*;

    fn scenarios() -> Vec<Scenario> {
        let parse = |path: &str, text: &str| Scenario::parse(Source { path: Path::new(path), text }).unwrap();
        let matrix = "[matrix]\nsong = ['tide', 'siren']\nrepeat = 3\n";
        vec![
            parse("a.toml", &format!("title = 't'\ntags = ['slow', 'midi']\n{matrix}")),
            parse("b.toml", "title = 't'\nintegration = true\ntags = ['midi']\ntest = 'contract'\n"),
            parse("c.toml", &format!("title = 't'\n{matrix}[expect]\nsame_pcm = true\n")),
            parse("d.toml", "title = 't'\n[matrix]\ntransport = ['vhost-user', 'vfio-user']\nquantum = [64, 480]\n"),
        ]
    }

    fn names(selection: &Selection) -> Vec<String> {
        let chosen = selection.choose(scenarios());
        chosen.iter().flat_map(|scenario| scenario.cases.iter().map(|case| scenario.full_name(case))).collect()
    }

    #[test]
    fn chooses_by_name_tag_set_and_transport() {
        let all = Selection::default();
        assert_eq!(names(&all).len(), 17);
        assert_eq!(names(&Selection { filter: Some("a [song=tide".into()), ..all.clone() }).len(), 3);
        assert_eq!(names(&Selection { filter: Some("power".into()), ..all.clone() }), ["b"], "a probe of the contract");
        assert_eq!(names(&Selection { tags: vec!["midi".into()], ..all.clone() }).len(), 7);
        assert_eq!(
            names(&Selection { tags: vec!["midi".into()], not_tags: vec!["slow".into()], ..all.clone() }),
            ["b"]
        );
        assert_eq!(names(&Selection { set: Some(Set::Integration), ..all.clone() }), ["b"]);
        assert_eq!(names(&Selection { set: Some(Set::Full), ..all.clone() }).len(), 17);
        let over = Selection { transport: Some(Transport::VfioUser), filter: Some("d [".into()), ..all.clone() };
        assert_eq!(names(&over), ["d [transport=vfio-user quantum=64]", "d [transport=vfio-user quantum=480]"]);
        assert_eq!(names(&Selection { filter: Some("nonsense".into()), ..all }), Vec::<String>::new());
    }

    #[test]
    fn chooses_what_failed_last() {
        let last = LastRun {
            failed: [("a.toml".into(), "a [song=siren repeat=2]".to_owned()), ("z.toml".into(), "z".to_owned())].into(),
            ..LastRun::default()
        };
        assert_eq!(names(&Selection { last_failed: Some(last), ..Selection::default() }), ["a [song=siren repeat=2]"]);
    }

    #[test]
    fn the_parts_of_a_run_are_disjoint_cover_all_and_keep_together_what_is_compared() {
        let all = names(&Selection::default());
        for of in 1..=6 {
            let part = |number: usize| Selection {
                shard: Some(format!("{number}/{of}").parse().unwrap()),
                ..Selection::default()
            };
            let parts: Vec<Vec<String>> = (1..=of).map(|number| names(&part(number))).collect();
            let mut union = parts.concat();
            assert_eq!(union.len(), all.len(), "disjoint in {of}");
            union.sort();
            let mut expected = all.clone();
            expected.sort();
            assert_eq!(union, expected);
            let with_c = parts.iter().filter(|part| part.iter().any(|name| name.starts_with('c'))).count();
            assert_eq!(with_c, 1);
            let shuffled = Selection { shuffle: Some(5), ..part(1) };
            let mut own = names(&shuffled);
            own.sort();
            let mut plain = parts[0].clone();
            plain.sort();
            assert_eq!(own, plain, "another order is no other part");
        }
    }

    #[test]
    fn a_seed_gives_one_order() {
        let shuffled = |seed| names(&Selection { shuffle: Some(seed), ..Selection::default() });
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        assert_ne!(shuffled(1), names(&Selection::default()));
    }
}
