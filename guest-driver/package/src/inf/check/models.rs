//! Manufacturers and models: which install section is for which Windows.

use std::collections::BTreeSet;

use super::findings::Findings;
use super::text::Text;
use crate::inf::{Entry, File};

/// The first build that a decoration can name: older systems skip such a decoration whole.
const BUILD_MIN: u32 = 14310;

/// Architectures of decorations.
pub(super) const ARCHITECTURES: &[&str] = &["x86", "ia64", "amd64", "arm", "arm64"];

/// An install section, as a model names it.
#[derive(Clone, Debug)]
pub(super) struct Install {
    /// The name in the model.
    pub(super) name: String,
    /// Where the model names it.
    pub(super) place: (usize, usize),
    /// The architecture of its models.
    pub(super) architecture: String,
    /// The oldest Windows of its models: major, minor, build.
    pub(super) oldest: (u32, u32, u32),
}

/// The models of a file.
#[derive(Debug, Default)]
pub(super) struct Models {
    pub(super) installs: Vec<Install>,
    /// The sections of models, in lower case.
    pub(super) sections: BTreeSet<String>,
}

/// Reads manufacturers and models, and checks their decorations.
pub(super) fn read(file: &File, text: &Text, findings: &mut Findings) -> Models {
    let mut models = Models::default();
    let Some(manufacturer) = file.section("manufacturer") else { return models };
    let mut any_id = false;
    for entry in &manufacturer.entries {
        let base = if entry.fields.iter().any(|field| !field.is_empty()) {
            text.field(entry, 0)
        } else {
            text.expand(entry.key.as_deref().unwrap_or_default())
        };
        if base.is_empty() {
            findings.add(1005, (entry.line, entry.column), "a manufacturer names its section of models");
            continue;
        }
        let mut sections = vec![(base.clone(), "x86".to_owned(), (5, 0, 0))];
        for index in 1..entry.fields.len() {
            if let Some((architecture, oldest)) = decoration(entry, index, text, findings) {
                sections.push((format!("{base}.{}", text.field(entry, index)), architecture, oldest));
            }
        }
        let decorated = sections.len() > 1;
        for (index, (name, architecture, oldest)) in sections.into_iter().enumerate() {
            let Some(section) = file.section(&name) else {
                if index > 0 {
                    findings.add(1287, entry.place(index), format!("there is no section [{name}] for this decoration"));
                } else if !decorated {
                    findings.add(1203, entry.place(0), format!("there is no section [{name}]"));
                }
                continue;
            };
            if index == 0 && !decorated {
                let what = format!("[{name}] is for no architecture, and so for x86: name others, as {name},NTamd64");
                findings.add(2010, (section.line, 1), what);
            }
            models.sections.insert(name.to_lowercase());
            for model in &section.entries {
                any_id |= model.fields.iter().skip(1).any(|field| !field.is_empty());
                let install = text.field(model, 0);
                if install.is_empty() {
                    findings.add(1005, (model.line, model.column), "a model names its install section");
                    continue;
                }
                let (architecture, place) = (architecture.clone(), model.place(0));
                models.installs.push(Install { name: install, place, architecture, oldest });
            }
        }
    }
    if !any_id {
        findings.add(1297, (manufacturer.line, 1), "no model has a hardware id: the INF installs on no device");
    }
    models
}

/// Reads a decoration: `NT[architecture][.[major][.[minor][.[type][.[suite][.[build]]]]]]`.
fn decoration(entry: &Entry, index: usize, text: &Text, findings: &mut Findings) -> Option<(String, (u32, u32, u32))> {
    let whole = text.field(entry, index);
    let lower = whole.to_lowercase();
    let place = entry.place(index);
    let mut parts = lower.split('.');
    let first = parts.next().unwrap_or_default();
    let Some(architecture) = first.strip_prefix("nt") else {
        findings.add(1011, place, format!("the decoration \"{whole}\" does not begin with NT"));
        return None;
    };
    if !architecture.is_empty() && !ARCHITECTURES.contains(&architecture) {
        findings.add(1271, place, format!("\"{architecture}\" in the decoration \"{whole}\" is no architecture"));
        return None;
    }
    let mut numbers = [None; 5];
    for (at, part) in parts.enumerate() {
        let number =
            part.strip_prefix("0x").map_or_else(|| part.parse().ok(), |digits| u32::from_str_radix(digits, 16).ok());
        match (numbers.get_mut(at), number) {
            (Some(_), None) if part.is_empty() => {}
            (Some(slot), Some(number)) => *slot = Some(number),
            _ => {
                findings.add(
                    1011,
                    place,
                    format!("\"{part}\" in the decoration \"{whole}\" is no number of its place"),
                );
                return None;
            }
        }
    }
    if let Some(build) = numbers[4].filter(|build| *build < BUILD_MIN) {
        findings.add(
            1288,
            place,
            format!("the build {build} is below {BUILD_MIN}: no Windows that knows builds is as old"),
        );
    }
    let architecture = if architecture.is_empty() { "x86" } else { architecture };
    let oldest = (numbers[0].unwrap_or(5), numbers[1].unwrap_or(0), numbers[4].unwrap_or(0));
    Some((architecture.to_owned(), oldest))
}
