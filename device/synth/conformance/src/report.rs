//! Results as text: for people, and as a table of several synthesizers side by side.

use std::fmt::Write;

use crate::expect::{Basis, Expectations};
use crate::judge::{Outcome, Verdict, output_name};

/// Returns one line for a case that holds, and one more for each measurement that does not.
#[must_use]
pub fn case(expectations: &Expectations, verdict: &Verdict) -> String {
    let mark = if verdict.passed { "pass" } else { "FAIL" };
    let mut text = format!("{mark}  {:<36} {}\n", verdict.id, expectations.title);
    if let Some(error) = &verdict.error {
        for line in error.lines() {
            text += &format!("      {line}\n");
        }
        return text;
    }
    for outcome in verdict.outcomes.iter().filter(|outcome| !outcome.passed) {
        text += &format!("      {}\n", outcome_line(outcome));
    }
    text
}

/// Returns the place of a measurement, what was found, and what was expected.
#[must_use]
pub fn outcome_line(outcome: &Outcome) -> String {
    let check = &outcome.check;
    let what = format!("{:?}", check.what).to_lowercase();
    let mut text = format!("{what}{} at {:.3} s", output_name(check.output), check.at);
    if let Some(until) = check.until {
        let _ = write!(text, " to {until:.3} s");
    }
    if !check.note.is_empty() {
        let _ = write!(text, " ({})", check.note);
    }
    format!("{text}: {}", found_and_expected(outcome))
}

fn found_and_expected(outcome: &Outcome) -> String {
    let check = &outcome.check;
    let found = outcome.found.map_or("nothing".to_owned(), |found| format!("{} {}", number(found), check.unit()));
    let expected = match check.what {
        crate::expect::What::Below => format!("at most {} dB", number(check.expected)),
        crate::expect::What::Refused => "silence".to_owned(),
        _ => format!(
            "{} {} ± {} {}",
            number(check.expected),
            check.unit(),
            number(check.tolerance),
            check.tolerance_unit()
        ),
    };
    format!("found {found}, expected {expected}")
}

/// Formats a number with its significant digits only.
fn number(x: f64) -> String {
    let text = format!("{x:.3}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

/// Returns how many cases hold: all, and by basis.
#[must_use]
pub fn summary(results: &[(&Expectations, &Verdict)]) -> String {
    let count = |basis: Option<Basis>| {
        let of = results.iter().filter(|(expectations, _)| basis.is_none_or(|basis| expectations.basis == basis));
        let passed = of.clone().filter(|(_, verdict)| verdict.passed).count();
        (passed, of.count())
    };
    let (passed, all) = count(None);
    let measurements = results.iter().map(|(_, verdict)| verdict.outcomes.len()).sum::<usize>();
    let held = results.iter().flat_map(|(_, v)| &v.outcomes).filter(|outcome| outcome.passed).count();
    let mut text = format!("{passed} of {all} cases ({held} of {measurements} measurements)");
    for (basis, name) in [(Basis::Required, "required"), (Basis::Optional, "optional"), (Basis::Practice, "practice")] {
        let (passed, all) = count(Some(basis));
        if all > 0 {
            let _ = write!(text, "; {name} {passed} of {all}");
        }
    }
    text
}

/// Makes a Markdown table: a row a case, a column a synthesizer.
#[must_use]
pub fn table(expectations: &[&Expectations], columns: &[(String, Vec<Verdict>)]) -> String {
    let mut text = String::from("| case | what | level |");
    columns.iter().for_each(|(name, _)| text += &format!(" {name} |"));
    text += "\n|---|---|---|";
    columns.iter().for_each(|_| text += "---|");
    text += "\n";
    for (row, expectations) in expectations.iter().enumerate() {
        let basis = match expectations.basis {
            Basis::Required => format!("{}", expectations.level),
            Basis::Optional => "optional".into(),
            Basis::Practice => "practice".into(),
        };
        text += &format!("| `{}` | {} | {basis} |", expectations.id, expectations.title);
        for (_, verdicts) in columns {
            text += &format!(" {} |", cell(&verdicts[row]));
        }
        text += "\n";
    }
    text
}

fn cell(verdict: &Verdict) -> String {
    if verdict.passed {
        return "✓".into();
    }
    if let Some(error) = &verdict.error {
        let first = error.lines().next().unwrap_or_default();
        let refused = first.contains("command failed") || first.contains("refused");
        return format!("✗ {}", if refused { "refuses the file" } else { first.split(": ").next().unwrap_or(first) });
    }
    let wrong: Vec<&Outcome> = verdict.outcomes.iter().filter(|outcome| !outcome.passed).collect();
    // Of all failures, the furthest from the expectation is reported.
    let far = |outcome: &Outcome| {
        let check = &outcome.check;
        outcome.found.map_or(f64::MAX, |found| (found - check.expected).abs() / check.tolerance.max(0.1))
    };
    let worst = wrong.iter().max_by(|a, b| far(a).total_cmp(&far(b)));
    let worst = worst.map_or(String::new(), |outcome| {
        let note = if outcome.check.note.is_empty() { String::new() } else { format!("{}: ", outcome.check.note) };
        format!("{note}{}", found_and_expected(outcome))
    });
    format!("✗ {} of {}; {}", wrong.len(), verdict.outcomes.len(), worst.replace('|', "/"))
}
