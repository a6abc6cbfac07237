//! Divides the cases of a run among several machines.

use std::fmt;
use std::str::FromStr;

/// Most parts of a run.
const SHARDS_MAX: usize = 1000;

/// One of several parts of a run, such as `2/4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The number of the part, from 1.
    number: usize,
    /// How many parts there are.
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((number, of)) if (1..=SHARDS_MAX).contains(&of) && (1..=of).contains(&number) => {
                Ok(Self { number, of })
            }
            _ => Err(format!("a part is a number and how many there are, 1/4 to 4/4; at most {SHARDS_MAX}")),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Shard {
    /// Returns whether each unit is in this part, by the units' weights. Every unit is in exactly one part; the heaviest go first, each to
    /// the part that has the least, so that no two parts differ by more than the heaviest unit.
    #[must_use]
    pub fn holds(self, weights: &[usize]) -> Vec<bool> {
        let mut order: Vec<usize> = (0..weights.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(weights[*index]));
        let mut loads = vec![0; self.of];
        let mut held = vec![false; weights.len()];
        for index in order {
            let least = (0..self.of).min_by_key(|part| loads[*part]).unwrap_or_default();
            loads[least] += weights[index];
            held[index] = least + 1 == self.number;
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Dice;

    #[test]
    fn reads_a_part_and_refuses_others() {
        assert_eq!("2/4".parse::<Shard>().unwrap().to_string(), "2/4");
        for wrong in ["", "1", "0/4", "5/4", "1/0", "1/1001", "a/b", "-1/4", "1/4/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_unit_is_in_one_part_and_the_parts_are_balanced() {
        let mut dice = Dice::new(7);
        for _ in 0..50 {
            let weights: Vec<usize> = (0..dice.below(60)).map(|_| 1 + dice.below(9) as usize).collect();
            let of = 1 + dice.below(8) as usize;
            let parts: Vec<Vec<bool>> = (1..=of).map(|number| Shard { number, of }.holds(&weights)).collect();
            for index in 0..weights.len() {
                assert_eq!(parts.iter().filter(|part| part[index]).count(), 1, "{weights:?} in {of}");
            }
            let load = |part: &Vec<bool>| {
                part.iter().zip(&weights).filter(|(held, _)| **held).map(|(_, it)| it).sum::<usize>()
            };
            let loads: Vec<usize> = parts.iter().map(load).collect();
            let spread = loads.iter().max().unwrap() - loads.iter().min().unwrap();
            assert!(spread <= weights.iter().copied().max().unwrap_or(0), "{loads:?} of {weights:?}");
        }
    }
}
