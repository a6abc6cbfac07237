//! Reads the machine's apt configuration: its archives, with suites, components and keys (sources.list(5): one-line and
//! deb822 style).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::capture;

/// One archive that the machine's apt uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Its address.
    pub(super) uri: String,
    /// The suites that the machine takes from it.
    pub(super) suites: Vec<String>,
    /// The components.
    pub(super) components: Vec<String>,
    /// `Signed-By`, in the form of deb822: a path, or a key in continuation lines.
    pub(super) signed_by: Option<String>,
    /// `Trusted: yes`.
    pub(super) trusted: bool,
}

/// Returns the archives of this machine, in the order of apt's configuration.
pub(super) fn machine_sources() -> Vec<Source> {
    let (list, parts) = configured_paths();
    let mut files = vec![list];
    if let Ok(entries) = fs::read_dir(parts) {
        let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        found.sort();
        files.extend(found);
    }
    files.iter().flat_map(|path| read(path)).collect()
}

/// Returns the paths of `sources.list` and of its folder.
fn configured_paths() -> (PathBuf, PathBuf) {
    let mut command = Command::new("apt-config");
    command.args(["shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"]);
    let text = capture(&mut command).map(|captured| captured.stdout).unwrap_or_default();
    let value = |name: &str, default: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix("='")?.strip_suffix('\''))
            .map_or_else(|| PathBuf::from(default), PathBuf::from)
    };
    (value("LIST", "/etc/apt/sources.list"), value("PARTS", "/etc/apt/sources.list.d"))
}

fn read(path: &Path) -> Vec<Source> {
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("list") => one_line_style(&text),
        Some("sources") => deb822_style(&text),
        _ => Vec::new(),
    }
}

fn one_line_style(text: &str) -> Vec<Source> {
    text.lines().filter_map(one_line).collect()
}

fn one_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let (mut signed_by, mut trusted) = (None, false);
    if let Some(options) = rest.strip_prefix('[') {
        let (options, after) = options.split_once(']')?;
        rest = after;
        for option in options.split_whitespace() {
            match option.split_once('=') {
                Some(("signed-by", value)) => signed_by = Some(value.to_owned()),
                Some(("trusted", value)) => trusted = value == "yes",
                _ => {}
            }
        }
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    let uri = words.next()?;
    let suites = vec![words.next()?];
    Some(Source { uri, suites, components: words.collect(), signed_by, trusted })
}

fn deb822_style(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for stanza in stanzas(text) {
        let field = |name: &str| stanza.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let words = |name: &str| -> Vec<String> {
            field(name).map(|value| value.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
        };
        let off = field("Enabled").is_some_and(|value| value.trim() == "no");
        if off || !words("Types").iter().any(|kind| kind == "deb") {
            continue;
        }
        for uri in words("URIs") {
            sources.push(Source {
                uri,
                suites: words("Suites"),
                components: words("Components"),
                signed_by: field("Signed-By").cloned(),
                trusted: field("Trusted").is_some_and(|value| value.trim() == "yes"),
            });
        }
    }
    sources
}

/// Parses the stanzas of a deb822 file as fields; a continuation line keeps its leading space and its line break.
fn stanzas(text: &str) -> Vec<Vec<(String, String)>> {
    let mut stanzas: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for line in text.lines() {
        let stanza = stanzas.last_mut().expect("begun with one");
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            stanzas.push(Vec::new());
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanza.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((key, value)) = line.split_once(':') {
            stanza.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    stanzas.retain(|stanza| !stanza.is_empty());
    stanzas
}

/// Returns the system's name and release (os-release(5)): `ID` and `VERSION_CODENAME`.
pub(super) fn system() -> (String, String) {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches('"').to_owned())
            .unwrap_or_default()
    };
    (value("ID"), value("VERSION_CODENAME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_line_entries_with_their_options() {
        let text = "# comment\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/packages bookworm main contrib # tail\n\
                    deb-src http://mirror.example/packages bookworm main\n\
                    deb http://other.example/ sid main\n";
        let sources = one_line_style(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].uri, "http://mirror.example/packages");
        assert_eq!(sources[0].components, ["main", "contrib"]);
        assert_eq!(sources[0].signed_by.as_deref(), Some("/k.gpg"));
        assert_eq!(sources[1].suites, ["sid"]);
    }

    #[test]
    fn reads_deb822_entries_with_embedded_keys_and_several_addresses() {
        let text = "Types: deb deb-src\nURIs: http://a.example http://b.example\nSuites: bookworm bookworm-updates\n\
                    # comment\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n\n\
                    Types: deb\nEnabled: no\nURIs: http://off.example\nSuites: x\n\n\
                    Types: deb-src\nURIs: http://src.example\nSuites: x\n";
        let sources = deb822_style(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[1].uri, "http://b.example");
        assert_eq!(sources[0].suites, ["bookworm", "bookworm-updates"]);
        assert_eq!(
            sources[0].signed_by.as_deref(),
            Some("\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc"),
            "continuation lines can be written back as they are"
        );
    }
}
