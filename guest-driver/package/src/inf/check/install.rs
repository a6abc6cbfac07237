//! Install sections and what they name.

use std::collections::{BTreeMap, BTreeSet};

use super::Mode;
use super::findings::Findings;
use super::known;
use super::models::{ARCHITECTURES, Install, Models};
use super::registry::{self, Owner};
use super::text::Text;
use super::version::{entry, number};
use crate::inf::{Entry, File, Section};

/// The build from which on a driver can run where its package is kept (DIRID 13).
const DRIVER_STORE_SINCE: (u32, u32, u32) = (10, 0, 16299);

/// The flag of `AddService` that makes a service the device's function driver.
const ASSOCIATED: u32 = 2;

/// What an install section's name ends with, for its further sections.
const EXTENSIONS: &[&str] = &[
    ".services",
    ".hw",
    ".interfaces",
    ".coinstallers",
    ".wdf",
    ".filters",
    ".components",
    ".software",
    ".events",
    ".logconfigoverride",
    ".factdef",
    ".com",
];

/// Directives of further sections that name a section, with the place of the name.
const NAMING: &[(&str, &str, usize)] = &[
    (".interfaces", "addinterface", 2),
    (".wdf", "kmdfservice", 1),
    (".wdf", "umdfservice", 1),
    (".filters", "addfilter", 2),
    (".components", "addcomponent", 2),
    (".software", "addsoftware", 2),
    (".events", "addeventprovider", 1),
];

/// Classes whose devices have no function driver of their own: extensions add to one, and printers have none.
const WITHOUT_SERVICE: &[&str] = &["extension", "printer"];

/// Directives that name sections of files.
const OF_FILES: &[&str] = &["copyfiles", "delfiles", "renfiles"];

/// Directives that name sections which are not looked into.
const OTHERS: &[&str] = &[
    "addproperty",
    "delproperty",
    "bitreg",
    "ini2reg",
    "updateinis",
    "updateinifields",
    "profileitems",
    "registerdlls",
    "unregisterdlls",
];

/// Where a file is copied to: DIRID, folder below it, architecture and name.
type Destination = (String, String, String);

/// What is read of a file while its install sections are followed.
struct Reader<'a, 'b> {
    file: &'a File,
    text: &'a Text,
    findings: &'b mut Findings,
    used: BTreeSet<String>,
    /// Which directive has named a section first.
    named_by: BTreeMap<String, String>,
    /// Sections that have been looked into.
    done: BTreeSet<(String, String)>,
    /// Sections that others need, and that are still to be looked into.
    needed: Vec<&'a Section>,
    /// Where each file is copied to, and from which section.
    copied: BTreeMap<Destination, (String, (usize, usize))>,
}

/// Follows every install section; returns the sections that something names, in lower case.
pub(super) fn check(file: &File, text: &Text, models: &Models, findings: &mut Findings) -> BTreeSet<String> {
    let mut reader = Reader {
        file,
        text,
        findings,
        used: models.sections.clone(),
        named_by: BTreeMap::new(),
        done: BTreeSet::new(),
        needed: Vec::new(),
        copied: BTreeMap::new(),
    };
    let mut seen = BTreeSet::new();
    for install in &models.installs {
        let section = reader.best(&install.name, &install.architecture);
        let Some(section) = section else {
            let what = format!("there is no section [{}]", install.name);
            reader.findings.add(1203, install.place, what);
            continue;
        };
        if seen.insert((section.name.to_lowercase(), install.architecture.clone(), install.oldest)) {
            reader.device(section, install);
        }
    }
    for name in ["defaultinstall", "defaultuninstall", "classinstall32", "interfaceinstall32"] {
        let sections: Vec<&Section> = file.sections_with(name).collect();
        for section in sections {
            reader.standard(section);
        }
    }
    reader.variants_of_used();
    while let Some(section) = reader.needed.pop() {
        let install = of_name(section);
        reader.directives(section, Owner::Device, Some(&install));
    }
    reader.source_disks();
    reader.destinations();
    reader.used
}

impl<'a> Reader<'a, '_> {
    /// Returns the install section that a Windows of an architecture takes.
    fn best(&self, name: &str, architecture: &str) -> Option<&'a Section> {
        [format!("{name}.nt{architecture}"), format!("{name}.nt"), name.to_owned()]
            .iter()
            .find_map(|candidate| self.file.section(candidate))
    }

    /// Follows an install section of a device and its further sections.
    fn device(&mut self, section: &'a Section, install: &Install) {
        self.use_section(&section.name);
        self.directives(section, Owner::Device, Some(install));
        let mut has_service = false;
        for extension in EXTENSIONS {
            let name = format!("{}{extension}", section.name);
            let Some(further) = self.file.section(&name) else { continue };
            self.use_section(&name);
            self.directives(further, Owner::Device, Some(install));
            if *extension == ".services" {
                has_service = true;
                self.services(further, install);
            }
            for (key, index) in NAMING.iter().filter(|(of, ..)| of == extension).map(|(_, key, index)| (*key, *index)) {
                self.named(further, key, index, Owner::Device);
            }
            if *extension == ".coinstallers" {
                let what = "co-installers are no longer run by Windows";
                self.findings.add(2222, (further.line, 1), what);
            }
        }
        if !has_service && !self.is_without_service() {
            let what = format!(
                "there is no section [{}.Services]: say which service the device has, or AddService = ,2",
                section.name
            );
            self.findings.add(1296, (section.line, 1), what);
        }
    }

    /// Returns whether the class has no function drivers.
    fn is_without_service(&self) -> bool {
        let class = self.file.section("version").and_then(|version| entry(version, "class"));
        class.is_some_and(|class| WITHOUT_SERVICE.contains(&self.text.field(class, 0).to_lowercase().as_str()))
    }

    /// Follows a section that is known by its name.
    fn standard(&mut self, section: &'a Section) {
        let install = of_name(section);
        self.directives(section, Owner::Device, Some(&install));
        let lower = section.name.to_lowercase();
        if lower.ends_with(".services") {
            self.named(section, "addservice", 2, Owner::Service);
        } else if lower == "interfaceinstall32" {
            for entry in &section.entries {
                if let Some(target) = self.section_of(entry, 0, "InterfaceInstall32") {
                    self.directives(target, Owner::Device, None);
                }
            }
        }
    }

    /// Follows the directives that any section of an installation has.
    fn directives(&mut self, section: &'a Section, owner: Owner, install: Option<&Install>) {
        let includes = entry(section, "include").is_some();
        for entry in &section.entries {
            let Some(key) = entry.key.as_deref().map(str::to_lowercase) else { continue };
            match key.as_str() {
                "addreg" | "delreg" => {
                    for index in 0..entry.fields.len() {
                        if let Some(target) = self.section_of(entry, index, &key)
                            && self.done.insert((target.name.to_lowercase(), format!("{owner:?}")))
                        {
                            registry::check(target, owner, self.text, self.findings);
                        }
                    }
                }
                "include" => self.include(entry),
                "needs" => self.needs(entry, section, includes),
                "logconfig" => {
                    self.findings.add(2222, (entry.line, entry.column), "LogConfig is disregarded by Windows");
                    self.names(entry, &key);
                }
                _ if OF_FILES.contains(&key.as_str()) => self.files(entry, &key, install),
                _ if OTHERS.contains(&key.as_str()) => self.names(entry, &key),
                _ => {}
            }
        }
    }

    /// Notes the sections that an entry names.
    fn names(&mut self, entry: &'a Entry, key: &str) {
        for index in 0..entry.fields.len() {
            self.section_of(entry, index, key);
        }
    }

    /// Follows the sections at a place of each entry with a key.
    fn named(&mut self, section: &'a Section, key: &str, index: usize, owner: Owner) {
        for entry in section.entries.iter().filter(|entry| entry.is(key)) {
            if entry.field(index).is_some()
                && let Some(target) = self.section_of(entry, index, key)
            {
                self.directives(target, owner, None);
            }
        }
    }

    fn include(&mut self, entry: &Entry) {
        for index in 0..entry.fields.len() {
            let name = self.text.field(entry, index).to_lowercase();
            if !known::is_system_inf(&name) {
                let what = format!("Include names {name}, which is not known here as an INF of Windows");
                self.findings.add(1202, entry.place(index), what);
            }
        }
    }

    fn needs(&mut self, entry: &'a Entry, section: &Section, includes: bool) {
        let kind_of = |name: &str| {
            let lower = name.to_lowercase();
            EXTENSIONS.iter().find(|extension| lower.ends_with(**extension)).copied().unwrap_or_default()
        };
        for index in 0..entry.fields.len() {
            let name = self.text.field(entry, index);
            if kind_of(&name) != kind_of(&section.name) {
                let what = format!("[{}] needs [{name}], which is of another kind", section.name);
                self.findings.add(1310, entry.place(index), what);
            }
            match self.file.section(&name) {
                Some(target) => {
                    self.use_section(&target.name);
                    if self.done.insert((name.to_lowercase(), "needs".into())) {
                        self.needed.push(target);
                    }
                }
                None if !includes => {
                    let what =
                        format!("[{name}] is not here, and [{}] has no Include that says where it is", section.name);
                    self.findings.add(1313, entry.place(index), what);
                }
                None => {}
            }
        }
    }

    /// Checks what is copied, deleted and renamed.
    fn files(&mut self, entry: &'a Entry, key: &str, install: Option<&Install>) {
        for index in 0..entry.fields.len() {
            let name = self.text.field(entry, index);
            if let Some(file) = name.strip_prefix('@') {
                if key == "copyfiles" {
                    self.copy(file, file, "defaultdestdir", entry.place(index), install);
                }
                continue;
            }
            let Some(target) = self.section_of(entry, index, key) else { continue };
            if key != "copyfiles" {
                continue;
            }
            for listed in &target.entries {
                let to = self.text.field(listed, 0);
                // A name with `=` in it is read as a key.
                let to = if to.is_empty() { listed.key.clone().unwrap_or_default() } else { to };
                let from = self.text.field(listed, 1);
                let from = if from.is_empty() { to.clone() } else { from };
                if to.is_empty() {
                    continue;
                }
                self.copy(&to, &from, &target.name.to_lowercase(), (listed.line, listed.column), install);
            }
        }
    }

    fn copy(&mut self, to: &str, from: &str, list: &str, place: (usize, usize), install: Option<&Install>) {
        let architecture = install.map_or("", |install| install.architecture.as_str()).to_owned();
        let source = self.source(from, &architecture);
        if source.is_none() && !architecture.is_empty() {
            let what = format!("{from} is in no [SourceDisksFiles] for {architecture}");
            self.findings.add(1230, place, what);
        }
        let (dirid, below) = self.destination(list);
        match dirid.as_str() {
            "13" => {
                let source = source.unwrap_or_default();
                if !to.eq_ignore_ascii_case(from) || !below.eq_ignore_ascii_case(&source) {
                    let what = format!(
                        "{from} of the folder \"{source}\" becomes {to} in \"{below}\": below DIRID 13 both stay as they are in the package"
                    );
                    self.findings.add(1100, place, what);
                }
                if let Some(install) = install
                    && install.oldest < DRIVER_STORE_SINCE
                {
                    let (major, minor, build) = install.oldest;
                    let what = format!(
                        "{to} stays in the package (DIRID 13), which Windows before 10.0.16299 cannot run, and [{}] is for {major}.{minor} (build {build}) on",
                        install.name
                    );
                    self.findings.add(1199, place, what);
                }
            }
            "" => {}
            other => {
                let of_windows = matches!(other, "10" | "11" | "12" | "23" | "51" | "52" | "53" | "54" | "55");
                if self.findings.mode == Mode::Windows || !of_windows {
                    self.findings.add(1322, place, format!("{to} is copied to DIRID {other}, and not 13"));
                }
            }
        }
        let key = (dirid, below.to_lowercase(), format!("{architecture} {}", to.to_lowercase()));
        match self.copied.get(&key) {
            Some((other, (line, _))) if !other.eq_ignore_ascii_case(from) => {
                let what = format!("{to} comes from {from} here, and from {other} in line {line}");
                self.findings.add(1330, place, what);
            }
            Some(_) => {}
            None => {
                self.copied.insert(key, (from.to_owned(), place));
            }
        }
    }

    /// Returns the folder of a source file in the package; none where the file is in no `[SourceDisksFiles]`.
    fn source(&self, name: &str, architecture: &str) -> Option<String> {
        let decorated = |section: &str| [format!("{section}.{architecture}"), section.to_owned()];
        let listed = decorated("sourcedisksfiles").iter().filter_map(|section| self.file.section(section)).find_map(
            |section| {
                let is_it = |entry: &&Entry| {
                    entry.key.as_deref().is_some_and(|key| self.text.expand(key).eq_ignore_ascii_case(name))
                };
                section.entries.iter().find(is_it)
            },
        )?;
        let disk = self.text.field(listed, 0);
        let disks = decorated("sourcedisksnames");
        let disk = disks
            .iter()
            .filter_map(|section| self.file.section(section))
            .find_map(|section| entry(section, disk.trim()));
        let root = disk.map(|disk| self.text.field(disk, 3)).unwrap_or_default();
        let below = self.text.field(listed, 1);
        let parts = [root.as_str(), below.as_str()];
        let parts = parts.iter().flat_map(|part| part.split('\\')).filter(|part| !part.is_empty() && *part != ".");
        Some(parts.collect::<Vec<_>>().join("\\"))
    }

    /// Returns DIRID and folder below it of a list of files; an empty number where nothing says it.
    fn destination(&self, list: &str) -> (String, String) {
        let section = self.file.section("destinationdirs");
        let entry = section.and_then(|section| entry(section, list).or_else(|| entry(section, "defaultdestdir")));
        entry.map_or_else(Default::default, |entry| (self.text.field(entry, 0), self.text.field(entry, 1)))
    }

    /// Follows the services of a device.
    fn services(&mut self, section: &'a Section, install: &Install) {
        let mut functions = 0;
        for entry in section.entries.iter().filter(|entry| entry.is("addservice")) {
            let flags = number(self.text.field(entry, 1).trim());
            let is_function = flags.unwrap_or(0) & ASSOCIATED != 0;
            functions += usize::from(is_function);
            if functions > 1 && is_function {
                let what = format!("[{}] has a second function driver", section.name);
                self.findings.add(1211, (entry.line, entry.column), what);
            }
            let name = self.text.field(entry, 0);
            if name.is_empty() {
                continue;
            }
            if known::SERVICES.contains(&name.to_lowercase().as_str()) {
                self.findings.add(1017, entry.place(0), format!("{name} is a service of Windows' own"));
            }
            if entry.field(2).is_none() {
                self.findings.add(1005, entry.place(2), "AddService names the section that describes the service");
                continue;
            }
            if let Some(target) = self.section_of(entry, 2, "AddService") {
                self.service(target, install);
            }
            if entry.field(3).is_some()
                && let Some(events) = self.section_of(entry, 3, "AddService (event log)")
            {
                self.directives(events, Owner::Device, None);
            }
        }
        let needs = entry(section, "needs").is_some();
        if functions == 0 && !needs && !self.is_without_service() {
            let what = format!("[{}] has no function driver: AddService with flag 2, or = ,2 for none", section.name);
            self.findings.add(1296, (section.line, 1), what);
        }
    }

    /// Checks a section that describes a service.
    fn service(&mut self, section: &'a Section, install: &Install) {
        for key in ["ServiceType", "StartType", "ErrorControl", "ServiceBinary"] {
            if entry(section, key).is_none() {
                self.findings.add(1254, (section.line, 1), format!("[{}] has no {key}", section.name));
            }
        }
        if let Some(entry) = entry(section, "servicebinary") {
            let binary = self.text.field(entry, 0);
            self.binary(entry, &binary, install);
        }
        self.directives(section, Owner::Service, Some(install));
    }

    fn binary(&mut self, entry: &Entry, binary: &str, install: &Install) {
        let below = binary.strip_prefix('%').and_then(|rest| rest.split_once('%'));
        let Some((dirid, path)) = below.filter(|(dirid, _)| dirid.bytes().all(|byte| byte.is_ascii_digit())) else {
            let what = format!("\"{binary}\" is a path of one machine: it begins with a DIRID, as %13%\\my.sys");
            self.findings.add(2085, entry.place(0), what);
            return;
        };
        let path = path.trim_start_matches('\\');
        let (folder, name) = path.rsplit_once('\\').unwrap_or(("", path));
        let wanted = format!("{} {}", install.architecture, name.to_lowercase());
        let places: Vec<&Destination> = self.copied.keys().filter(|(_, _, file)| *file == wanted).collect();
        let fits = places.iter().any(|(to, below, _)| to == dirid && below.eq_ignore_ascii_case(folder));
        let is_placed = places.first().is_some_and(|(to, ..)| !to.is_empty());
        if is_placed && !fits {
            let (to, below, _) = places[0];
            let what = format!(
                "ServiceBinary is in DIRID {dirid} \"{folder}\", and {name} is copied to DIRID {to} \"{below}\""
            );
            self.findings.add(2084, entry.place(0), what);
        }
    }

    /// Checks that each source file has a disk that is named.
    fn source_disks(&mut self) {
        let file = self.file;
        for section in file.sections_with("sourcedisksfiles") {
            for listed in &section.entries {
                let disk = self.text.field(listed, 0);
                let has = |names: &Section| {
                    names.entries.iter().any(|entry| entry.key.as_deref().is_some_and(|key| key.trim() == disk.trim()))
                };
                if !file.sections_with("sourcedisksnames").any(has) {
                    let what = format!("the disk \"{disk}\" is in no [SourceDisksNames]");
                    self.findings.add(1273, listed.place(0), what);
                }
            }
        }
    }

    /// Checks that what `[DestinationDirs]` names is there.
    fn destinations(&mut self) {
        let Some(section) = self.file.section("destinationdirs") else { return };
        for entry in &section.entries {
            let name = entry.key.as_deref().unwrap_or_default();
            if !name.is_empty() && !name.eq_ignore_ascii_case("defaultdestdir") && self.file.section(name).is_none() {
                self.findings.add(1203, (entry.line, entry.column), format!("there is no section [{name}]"));
            }
        }
    }

    /// Takes the variants of an install section for other systems as used: another Windows takes them.
    fn variants_of_used(&mut self) {
        let file = self.file;
        let bases: Vec<String> = self
            .used
            .iter()
            .map(|name| {
                let (base, _) = name.split_once(".nt").unwrap_or((name, ""));
                base.to_owned()
            })
            .collect();
        for base in bases {
            for section in file.sections_with(&base) {
                let lower = section.name.to_lowercase();
                let rest = lower.strip_prefix(&base).unwrap_or_default();
                let is_variant = rest.is_empty() || rest.starts_with(".nt") || EXTENSIONS.contains(&rest);
                if is_variant && self.used.insert(lower) {
                    let install = of_name(section);
                    self.directives(section, Owner::Device, Some(&install));
                }
            }
        }
    }

    fn use_section(&mut self, name: &str) {
        self.used.insert(name.to_lowercase());
    }

    /// Returns the section that a field names, and notes which directive names it.
    fn section_of(&mut self, entry: &Entry, index: usize, directive: &str) -> Option<&'a Section> {
        let name = self.text.field(entry, index);
        let place = entry.place(index);
        if name.is_empty() {
            self.findings.add(1005, place, format!("{directive} names a section"));
            return None;
        }
        let Some(section) = self.file.section(&name) else {
            let hint = if OF_FILES.contains(&directive) && name.contains('.') {
                format!("; a file is written @{name}")
            } else {
                String::new()
            };
            self.findings.add(1203, place, format!("there is no section [{name}], which {directive} names{hint}"));
            return None;
        };
        let lower = name.to_lowercase();
        self.use_section(&lower);
        let directive = directive.to_lowercase();
        match self.named_by.get(&lower) {
            Some(other) if *other != directive => {
                let what = format!("[{name}] is named by {other} and by {directive}");
                self.findings.add(1205, place, what);
            }
            Some(_) => {}
            None => {
                self.named_by.insert(lower, directive);
            }
        }
        Some(section)
    }
}

/// Returns what a section's name says of the systems that it is for: the architecture behind `.nt`.
fn of_name(section: &Section) -> Install {
    let lower = section.name.to_lowercase();
    let decoration = lower.split_once(".nt").map_or("", |(_, rest)| rest.split('.').next().unwrap_or_default());
    let architecture = if ARCHITECTURES.contains(&decoration) { decoration } else { "" };
    Install {
        name: section.name.clone(),
        place: (section.line, 1),
        architecture: architecture.to_owned(),
        // Which Windows it is for, only models say.
        oldest: DRIVER_STORE_SINCE,
    }
}
