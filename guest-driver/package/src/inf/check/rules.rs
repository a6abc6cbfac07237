//! The rules, by InfVerif's numbers.

use super::findings::Level::{self, Error, Warning};

/// What the check asks of an INF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// What any driver must have (`infverif /u`).
    #[default]
    Universal,
    /// What Windows drivers must have, which touch nothing outside their package (`infverif /w`).
    Windows,
    /// What signing by Microsoft asks (`infverif /h`).
    Hardware,
}

/// A rule: its number, what it asks, and the level of a breach in each mode.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// InfVerif's number.
    pub code: u16,
    /// What it asks.
    pub text: &'static str,
    /// The levels in the modes [`Mode::Universal`], [`Mode::Windows`] and [`Mode::Hardware`]; none where it is not asked.
    levels: [Option<Level>; 3],
}

impl Rule {
    /// Returns the level of a breach.
    #[must_use]
    pub const fn level(&self, mode: Mode) -> Option<Level> {
        match mode {
            Mode::Universal => self.levels[0],
            Mode::Windows => self.levels[1],
            Mode::Hardware => self.levels[2],
        }
    }
}

const fn error(code: u16, text: &'static str) -> Rule {
    Rule { code, text, levels: [Some(Error), Some(Error), Some(Error)] }
}

const fn warning(code: u16, text: &'static str) -> Rule {
    Rule { code, text, levels: [Some(Warning), Some(Warning), Some(Warning)] }
}

/// One that only packages must keep which touch nothing outside themselves.
const fn isolated(code: u16, text: &'static str) -> Rule {
    Rule { code, text, levels: [None, Some(Error), Some(Error)] }
}

/// Every rule, by number.
pub const RULES: &[Rule] = &[
    error(1001, "an INF has a section [Version] with Signature = \"$Windows NT$\""),
    error(1002, "an INF is sections of entries, quotation marks have an end, and so on"),
    error(1003, "an INF is ANSI or UTF-16 with the low byte first"),
    error(1005, "a directive that takes the name of a section names one"),
    error(1011, "a decoration is NT, an architecture, and numbers"),
    error(1017, "a service does not have the name of one of Windows' own"),
    error(1100, "with DIRID 13 a file stays in the folder of the package, and keeps its name"),
    error(1199, "a section that installs on an older Windows has nothing that only a newer one knows"),
    warning(1201, "an entry has no more values than its directive takes"),
    warning(1202, "Include names INFs of Windows (of which a part is known here)"),
    error(1203, "a section that is named is there"),
    error(1204, "the provider is not Microsoft"),
    warning(1205, "one section is not named by two directives"),
    error(1209, "a section has one heading"),
    error(1211, "an install section has one function driver"),
    error(1212, "an INF has [DefaultInstall] or [Manufacturer], not both"),
    error(1213, "a catalogue is a file name that ends with .cat"),
    error(1214, "the catalogues of two architectures are two files"),
    error(1217, "[Version] has a DriverVer"),
    error(1218, "DriverVer is month/day/year,w.x.y.z with parts below 65535"),
    error(1221, "the registry of a service is written by HKR"),
    error(1222, "the type of a registry value is one that there is"),
    error(1230, "a file that is copied is in [SourceDisksFiles]"),
    error(1233, "[Version] has what a signature needs: CatalogFile"),
    error(1234, "[Version] has Class, ClassGuid and Provider"),
    error(1235, "a token is in [Strings]"),
    error(1254, "a service has ServiceType, StartType, ErrorControl and ServiceBinary"),
    error(1271, "a decoration has an architecture that there is"),
    error(1273, "a source file has a disk that is in [SourceDisksNames]"),
    error(1280, "a class of Windows' own has its own ClassGuid"),
    error(1281, "a ClassGuid of Windows' own has its own class"),
    error(1285, "a class of Windows' own has no [ClassInstall32]"),
    error(1287, "a decoration that is named has a section of models"),
    error(1288, "a build number in a decoration is at least 14310"),
    error(1296, "an install section of a device says which service it has"),
    error(1297, "an INF of devices has models with hardware ids"),
    Rule { code: 1303, text: "no co-installer is registered", levels: [Some(Error), Some(Error), Some(Error)] },
    error(1310, "Needs names sections of its own kind: .Services from .Services"),
    error(1313, "a section with Needs has the Include that it needs"),
    isolated(1320, "the registry is written by HKR only"),
    Rule {
        code: 1322,
        text: "files are copied to DIRID 13 (by the rules for signing, to folders of Windows too)",
        levels: [None, Some(Error), Some(Error)],
    },
    isolated(1323, "a service writes below its Parameters"),
    Rule { code: 1324, text: "[Version] has PnpLockdown = 1", levels: [Some(Warning), Some(Error), Some(Error)] },
    error(1330, "a file has one source"),
    warning(2010, "models have a section for an architecture"),
    warning(2083, "each section is named by something"),
    error(2084, "the binary of a service is where its file is copied"),
    error(2085, "the binary of a service stands below a DIRID"),
    warning(2222, "no directive is one that Windows disregards: LogConfig, co-installers"),
];

/// Returns a rule.
pub(super) fn rule(code: u16) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.code == code)
}
