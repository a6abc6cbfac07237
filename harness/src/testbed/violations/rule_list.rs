//! The numbers of rules and checks that the NT host has, from the table that its own test keeps current.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::document::nearest;

/// The NT host's table of rules and checks.
const CONTRACT: &str = include_str!("../../../../images/nt-host/CONTRACT.md");

/// The rules and checks of the NT host: number and title.
#[derive(Clone, Debug)]
pub struct RuleList(BTreeMap<u16, String>);

/// A number that no rule and no check has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no rule {number}: the NT host has {ranges} (images/nt-host/CONTRACT.md); the nearest is {nearest}")]
pub struct UnknownRule {
    /// The number.
    pub number: u16,
    /// The numbers that there are, as ranges.
    pub ranges: String,
    /// The nearest number, with its title.
    pub nearest: String,
}

impl RuleList {
    /// Returns the rules of the NT host of this checkout.
    #[must_use]
    pub fn nt_host() -> &'static Self {
        static LIST: OnceLock<RuleList> = OnceLock::new();
        LIST.get_or_init(|| Self::read(CONTRACT))
    }

    /// Reads the rows of the tables that begin with a number. Of checks, the third column says what they demand.
    fn read(text: &str) -> Self {
        let row = |line: &str| {
            let mut columns = line.strip_prefix("| ")?.split(" | ");
            let number = columns.next()?.trim().parse().ok()?;
            let title = columns.next()?;
            let title = if title.starts_with('`') { columns.next()? } else { title };
            Some((number, title.trim().to_owned()))
        };
        Self(text.lines().filter_map(row).collect())
    }

    /// Returns the title of a rule or check.
    #[must_use]
    pub fn title(&self, number: u16) -> Option<&str> {
        self.0.get(&number).map(String::as_str)
    }

    /// Returns the number if a rule or check has it.
    ///
    /// # Errors
    /// [`UnknownRule`] with the numbers that there are, if none has.
    pub fn expect(&self, number: u16) -> Result<u16, UnknownRule> {
        if self.0.contains_key(&number) {
            return Ok(number);
        }
        let nearest = self.0.iter().min_by_key(|(other, _)| other.abs_diff(number));
        let nearest = nearest.map_or_else(|| "none".into(), |(other, title)| format!("{other} ({title})"));
        Err(UnknownRule { number, ranges: self.ranges(), nearest })
    }

    /// Returns the rule or check whose title has a text in it, or is most like it.
    #[must_use]
    pub fn nearest_title(&self, text: &str) -> Option<(u16, &str)> {
        let wanted = text.to_lowercase();
        let has = self.0.iter().find(|(_, title)| title.to_lowercase().contains(&wanted));
        let word = || nearest(text, self.0.values().flat_map(|title| title.split_whitespace()));
        let found = has.or_else(|| {
            let word = word()?;
            self.0.iter().find(|(_, title)| title.contains(word))
        });
        found.map(|(number, title)| (*number, title.as_str()))
    }

    /// Returns the numbers as ranges: `1 to 83, 101 to 112`.
    fn ranges(&self) -> String {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for &number in self.0.keys() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        let text = |(first, last): &(u16, u16)| {
            if first == last { first.to_string() } else { format!("{first} to {last}") }
        };
        ranges.iter().map(text).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_rules_checks_and_rules_of_services() {
        let list = RuleList::nt_host();
        for number in [1, 33, 83, 101, 201] {
            assert_eq!(list.expect(number), Ok(number));
            assert!(list.title(number).is_some_and(|title| title.len() > 10), "{number}");
        }
        assert!(list.title(104).unwrap().contains("PAGE sections"), "a check's demand, not its name");
    }

    #[test]
    fn refuses_another_number_with_the_ranges() {
        let text = "| rule | demands |\n|---|---|\n| 1 | one | x |\n| 2 | two | x |\n| 101 | `name` | three | x |\n";
        let list = RuleList::read(text);
        let error = list.expect(100).unwrap_err();
        assert_eq!(error.ranges, "1 to 2, 101");
        assert!(error.to_string().starts_with("there is no rule 100: the NT host has 1 to 2, 101"), "{error}");
        assert!(error.to_string().ends_with("the nearest is 101 (three)"), "{error}");
        assert_eq!(list.nearest_title("TWO"), Some((2, "two")));
        assert_eq!(list.nearest_title("thre"), Some((101, "three")));
        assert_eq!(list.nearest_title("zebra"), None);
        assert_eq!(list.title(101), Some("three"));
    }
}
