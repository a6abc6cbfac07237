//! The language of `--filter`: conditions that all hold, alternatives between bars.

use card_trace::Queue;
use card_trace::{Detail, Kind, Record, Source, describe, queue_name};

use crate::document::nearest;
use crate::host::failure::{Class, Diagnosed};

/// The members that a condition can name.
const MEMBERS: [&str; 6] = ["kind", "queue", "source", "text", "time", "number"];

/// A text that is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A condition has no operator.
    #[error("`{0}` is no condition: write kind=NAME, queue=NAME, source=NAME, text~WORD, time>=10ms or number<500")]
    NoCondition(String),
    /// A name is not known.
    #[error("there is no {what} `{got}`{}", .nearest.as_ref().map_or_else(String::new, |word| format!("; did you mean `{word}`?")))]
    Unknown {
        /// What was to be named.
        what: &'static str,
        /// The name.
        got: String,
        /// The name that is most like it.
        nearest: Option<String>,
    },
    /// A number cannot be read.
    #[error("`{0}` is no number, or no time: write 250, 1.5ms, 20us or 3s")]
    Number(String),
    /// An operator does not go with the member.
    #[error("{member} does not take `{operator}`: use {allowed}")]
    Operator {
        /// The member.
        member: &'static str,
        /// The operator.
        operator: &'static str,
        /// Those that it takes.
        allowed: &'static str,
    },
}

impl Diagnosed for FilterError {
    fn class(&self) -> Class {
        Class::Usage
    }

    fn remedy(&self) -> Option<String> {
        Some("see `trace show --help` for the words of a filter".into())
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Kind(Vec<&'static str>),
    Queue(Vec<String>),
    Source(Vec<Source>),
    Text(String),
    Time(Compare, f64),
    Number(Compare, f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Less,
    LessOrEqual,
    Equal,
    More,
    MoreOrEqual,
}

impl Compare {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Equal => left.total_cmp(&right).is_eq(),
            Self::More => left > right,
            Self::MoreOrEqual => left >= right,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Condition {
    not: bool,
    test: Test,
}

/// Chooses records. `kind=chain-taken queue=wave,control !source=harness time>=10ms | kind=mark`: conditions between bars all hold;
/// a condition with commas holds for any of its words; `!` turns one round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter(Vec<Vec<Condition>>);

impl Filter {
    /// Reads a filter. An empty one chooses everything.
    ///
    /// # Errors
    /// [`FilterError::NoCondition`], [`FilterError::Unknown`], [`FilterError::Number`] or [`FilterError::Operator`] for the first
    /// condition that is not understood.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let alternatives = text.split('|').map(|all| all.split_whitespace().map(condition).collect());
        let alternatives: Vec<Vec<Condition>> = alternatives.collect::<Result<_, _>>()?;
        if alternatives.iter().any(Vec::is_empty) && alternatives.len() > 1 {
            return Err(FilterError::NoCondition(text.into()));
        }
        Ok(Self(alternatives))
    }

    /// Returns whether it chooses a record.
    #[must_use]
    pub fn chooses(&self, record: &Record) -> bool {
        let holds = |condition: &Condition| condition.test.holds(record) != condition.not;
        self.0.is_empty() || self.0.iter().any(|all| all.iter().all(holds))
    }
}

impl Test {
    fn holds(&self, record: &Record) -> bool {
        match self {
            Self::Kind(names) => record.kind.name().is_some_and(|name| names.contains(&name)),
            Self::Queue(names) => record.act().queue().is_some_and(|queue| names.contains(&queue_name(queue))),
            Self::Source(sources) => sources.contains(&record.source),
            Self::Text(word) => describe(&record.act(), Detail::Full).contains(word),
            Self::Time(compare, nanoseconds) => compare.holds(record.time as f64, *nanoseconds),
            Self::Number(compare, number) => compare.holds(record.number as f64, *number),
        }
    }
}

/// Operators, longer ones first.
const OPERATORS: [(&str, Option<Compare>); 6] = [
    ("<=", Some(Compare::LessOrEqual)),
    (">=", Some(Compare::MoreOrEqual)),
    ("<", Some(Compare::Less)),
    (">", Some(Compare::More)),
    ("=", Some(Compare::Equal)),
    ("~", None),
];

fn condition(word: &str) -> Result<Condition, FilterError> {
    let (not, rest) = word.strip_prefix('!').map_or((false, word), |rest| (true, rest));
    let at = rest.find(['<', '>', '=', '~']).ok_or_else(|| FilterError::NoCondition(word.into()))?;
    let (member, behind) = rest.split_at(at);
    let found = OPERATORS.iter().find_map(|(text, compare)| Some((*text, *compare, behind.strip_prefix(text)?)));
    let (operator, compare, value) = found.ok_or_else(|| FilterError::NoCondition(word.into()))?;
    let member = one_of("member", member, &MEMBERS)?;
    let only = |allowed| FilterError::Operator { member, operator, allowed };
    let test = match (member, compare) {
        ("text", None) => Test::Text(value.to_owned()),
        ("time", Some(compare)) => Test::Time(compare, time(value)?),
        ("number", Some(compare)) => Test::Number(compare, number(value)?),
        ("kind", Some(Compare::Equal)) => {
            let names: Vec<&'static str> = Kind::ALL.iter().filter_map(|kind| kind.name()).collect();
            Test::Kind(value.split(',').map(|word| one_of("kind", word, &names)).collect::<Result<_, _>>()?)
        }
        ("queue", Some(Compare::Equal)) => {
            let names = Queue::ALL.map(queue_name);
            let names = names.each_ref().map(String::as_str);
            let chosen: Result<Vec<&str>, _> = value.split(',').map(|word| one_of("queue", word, &names)).collect();
            Test::Queue(chosen?.into_iter().map(str::to_owned).collect())
        }
        ("source", Some(Compare::Equal)) => {
            let all = [Source::CARD, Source::HARNESS, Source::GUEST];
            let names = all.map(|source| source.name().unwrap_or_default());
            let source = |word| {
                let name = one_of("source", word, &names)?;
                Ok(all.into_iter().find(|source| source.name() == Some(name)).unwrap_or(Source::CARD))
            };
            Test::Source(value.split(',').map(source).collect::<Result<_, FilterError>>()?)
        }
        ("text", Some(_)) => return Err(only("~")),
        ("time" | "number", None) => return Err(only("=, <, <=, > or >=")),
        _ => return Err(only("=")),
    };
    Ok(Condition { not, test })
}

fn one_of<'n>(what: &'static str, got: &str, names: &[&'n str]) -> Result<&'n str, FilterError> {
    names.iter().copied().find(|name| *name == got).ok_or_else(|| FilterError::Unknown {
        what,
        got: got.into(),
        nearest: nearest(got, names.iter().copied()).map(str::to_owned),
    })
}

fn number(text: &str) -> Result<f64, FilterError> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| FilterError::Number(text.into()))
}

/// Returns a time in nanoseconds.
fn time(text: &str) -> Result<f64, FilterError> {
    let units = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)];
    for (unit, nanoseconds) in units {
        if let Some(value) = text.strip_suffix(unit) {
            return number(value).map(|value| value * nanoseconds).map_err(|_| FilterError::Number(text.into()));
        }
    }
    Err(FilterError::Number(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::fixture::records;

    fn chosen(filter: &str) -> Vec<u64> {
        let filter = Filter::parse(filter).unwrap();
        records().iter().filter(|record| filter.chooses(record)).map(|record| record.number).collect()
    }

    #[test]
    fn chooses_by_each_member_and_by_alternatives() {
        let all = chosen("");
        assert_eq!(all, (0..all.len() as u64).collect::<Vec<_>>());
        assert_eq!(chosen("kind=kicked"), [0]);
        assert_eq!(chosen("queue=control"), [0, 1]);
        assert_eq!(chosen("queue=control !kind=kicked"), [1]);
        assert_eq!(chosen("source=harness | kind=kicked"), [0, 2]);
        assert_eq!(chosen("text~second"), [2]);
        assert_eq!(chosen("number>=1 number<3 kind=mark,kicked"), [2]);
        assert!(chosen("time<0ns").is_empty());
        assert_eq!(chosen("time<3600s"), all);
    }

    #[test]
    fn names_what_it_does_not_understand_and_what_was_meant() {
        let error = |text: &str| Filter::parse(text).unwrap_err().to_string();
        assert_eq!(error("kind=kickd"), "there is no kind `kickd`; did you mean `kicked`?");
        assert_eq!(error("quue=wave"), "there is no member `quue`; did you mean `queue`?");
        assert_eq!(error("queue=7"), "there is no queue `7`");
        assert!(error("hello").contains("`hello` is no condition"));
        assert!(error("time>5").contains("`5` is no number, or no time"));
        assert!(error("kind~x").contains("kind does not take `~`"));
        assert!(error("kind=mark |").contains("no condition"));
    }
}
