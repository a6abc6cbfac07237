//! What an INF says of its package: files, catalogue, date, systems, devices.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use super::{Fault, File, Strings, Warnings, decode};
use crate::Architecture;

/// The page of the section that names provider, date and catalogue.
const VERSION: &str = "INF Version Section";
/// The page of the directive with the driver's date.
const DRIVER_VER: &str = "INF DriverVer Directive";
/// The page of the section with the manufacturers.
const MANUFACTURER: &str = "INF Manufacturer Section";

/// The first day of which a system date can be told from a wrong one: the one that Windows knows files from.
const YEAR_MIN: u32 = 1980;

/// The last year that the time of a catalogue can have.
const YEAR_MAX: u32 = 2049;

/// What an INF says of its package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageInf {
    /// The catalogues, with the architecture that each is for where it says so.
    pub catalogs: Vec<(Option<Architecture>, String)>,
    /// The driver's date, in seconds since 1970.
    pub date: u64,
    /// The architectures of the models, each with the oldest Windows that one of its sections is for: major and minor.
    pub systems: Vec<(Architecture, (u32, u32))>,
    /// The hardware and compatible ids of all models, in the order of the file.
    pub hardware_ids: Vec<String>,
    /// The files that are copied from the package, with the folder below it, without a folder where there is none; each with
    /// the architecture where it is for one.
    pub files: Vec<(Option<Architecture>, String)>,
}

impl PackageInf {
    /// Reads an INF's bytes.
    ///
    /// # Errors
    /// A [`Fault`] for text that is no INF, without a date, a catalogue or models.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let text = decode(bytes, &mut Warnings::default())?;
        let file = File::parse(&text)?;
        let strings = Strings::of(&file)?;
        let version = file.section("version").ok_or_else(|| Fault::new(0, "there is no section [Version]", VERSION))?;
        let mut package = Self::default();
        for entry in &version.entries {
            let Some(key) = entry.key.as_deref().map(str::to_lowercase) else { continue };
            let value = strings.expand(entry.line, entry.field(0).unwrap_or_default())?;
            if key == "driverver" {
                package.date = date(&value).ok_or_else(|| {
                    let what = format!(
                        "DriverVer is \"{value}\": it begins with the date as month/day/year, of a year from {YEAR_MIN} to {YEAR_MAX}"
                    );
                    Fault::new(entry.line, what, DRIVER_VER)
                })?;
            } else if let Some(decoration) = key.strip_prefix("catalogfile")
                && let Ok(scope) = scope(decoration)
            {
                package.catalogs.push((scope, value));
            }
        }
        if package.date == 0 {
            return Err(Fault::new(version.line, "[Version] has no DriverVer", DRIVER_VER));
        }
        package.read_models(&file, &strings)?;
        package.read_files(&file, &strings)?;
        Ok(package)
    }

    /// Returns the name of the catalogue of an architecture.
    #[must_use]
    pub fn catalog(&self, architecture: Architecture) -> Option<&str> {
        let named = self.catalogs.iter().find(|(of, _)| *of == Some(architecture));
        named.or_else(|| self.catalogs.iter().find(|(of, _)| of.is_none())).map(|(_, name)| name.as_str())
    }

    /// Returns the files of an architecture.
    pub fn files_of(&self, architecture: Architecture) -> impl Iterator<Item = &str> {
        self.files.iter().filter(move |(of, _)| of.is_none_or(|of| of == architecture)).map(|(_, name)| name.as_str())
    }

    fn read_models(&mut self, file: &File, strings: &Strings) -> Result<(), Fault> {
        let Some(manufacturers) = file.section("manufacturer") else { return self.read_default_install(file) };
        let mut known = HashSet::new();
        for entry in &manufacturers.entries {
            let models = strings.expand(entry.line, entry.field(0).or(entry.key.as_deref()).unwrap_or_default())?;
            let mut names = vec![(Architecture::X86, Architecture::X86.oldest(), models.clone())];
            for index in 1..entry.fields.len() {
                let decoration = strings.expand(entry.line, &entry.fields[index])?;
                let Some((architecture, version)) = decoration_of(&decoration) else { continue };
                names.push((architecture, version, format!("{models}.{decoration}")));
            }
            for (architecture, version, name) in names {
                let Some(section) = file.section(&name) else { continue };
                if section.entries.is_empty() {
                    continue;
                }
                self.add_system(architecture, version);
                for model in &section.entries {
                    for index in 1..model.fields.len() {
                        let id = strings.expand(model.line, &model.fields[index])?;
                        if !id.is_empty() && known.insert(id.to_lowercase()) {
                            self.hardware_ids.push(id);
                        }
                    }
                }
            }
        }
        if self.systems.is_empty() {
            return Err(Fault::new(manufacturers.line, "there is no section of models", MANUFACTURER));
        }
        Ok(())
    }

    /// Reads the systems of a driver without devices, which its sections `[DefaultInstall.NTamd64]` name.
    fn read_default_install(&mut self, file: &File) -> Result<(), Fault> {
        for section in file.sections_with("defaultinstall") {
            let lower = section.name.to_lowercase();
            let mut parts = lower.split('.').skip(1);
            let Some(decoration) = parts.next() else { continue };
            if let (Some((architecture, _)), None) = (decoration_of(decoration), parts.next()) {
                // Such drivers came with Windows 10.
                self.add_system(architecture, Architecture::Arm64.oldest());
            }
        }
        if self.systems.is_empty() {
            let what = "there is no section [Manufacturer], and no [DefaultInstall] with an architecture: [DefaultInstall.NTamd64]";
            return Err(Fault::new(0, what, MANUFACTURER));
        }
        Ok(())
    }

    fn add_system(&mut self, architecture: Architecture, version: (u32, u32)) {
        let version = version.max(architecture.oldest());
        match self.systems.iter_mut().find(|(known, _)| *known == architecture) {
            Some((_, oldest)) => *oldest = version.min(*oldest),
            None => self.systems.push((architecture, version)),
        }
    }

    fn read_files(&mut self, file: &File, strings: &Strings) -> Result<(), Fault> {
        let disks = disks(file, strings)?;
        let mut seen = BTreeSet::new();
        for section in file.sections_with("sourcedisksfiles") {
            let lower = section.name.to_lowercase();
            let Ok(architecture) = scope(lower.strip_prefix("sourcedisksfiles").unwrap_or_default()) else {
                continue;
            };
            for entry in &section.entries {
                let Some(name) = entry.key.as_deref() else { continue };
                let name = strings.expand(entry.line, name)?;
                let disk = strings.expand(entry.line, entry.field(0).unwrap_or_default())?;
                let below = strings.expand(entry.line, entry.field(1).unwrap_or_default())?;
                let of_disk =
                    |of: Option<Architecture>| disks.get(&(of.map(Architecture::name), disk.trim().to_owned()));
                let root = of_disk(architecture).or_else(|| of_disk(None)).map_or("", String::as_str);
                let place = [root, &below, &name].map(|part| part.replace('\\', "/"));
                let parts =
                    place.iter().flat_map(|part| part.split('/')).filter(|part| !part.is_empty() && *part != ".");
                let place: Vec<&str> = parts.collect();
                let place = place.join("/");
                if seen.insert((architecture.map(Architecture::name), place.to_lowercase())) {
                    self.files.push((architecture, place));
                }
            }
        }
        Ok(())
    }
}

/// The folders of disks, by the architecture that each is for and its number.
type Disks = HashMap<(Option<&'static str>, String), String>;

fn disks(file: &File, strings: &Strings) -> Result<Disks, Fault> {
    let mut disks = HashMap::new();
    for section in file.sections_with("sourcedisksnames") {
        let lower = section.name.to_lowercase();
        let Ok(architecture) = scope(lower.strip_prefix("sourcedisksnames").unwrap_or_default()) else { continue };
        for entry in &section.entries {
            let Some(disk) = entry.key.as_deref() else { continue };
            let folder = strings.expand(entry.line, entry.field(3).unwrap_or_default())?;
            _ = disks.insert((architecture.map(Architecture::name), disk.trim().to_owned()), folder);
        }
    }
    Ok(disks)
}

/// A decoration of an architecture that is not known here.
struct OtherArchitecture;

/// Returns the architecture that the decoration behind a name is for; none for all of them.
fn scope(decoration: &str) -> Result<Option<Architecture>, OtherArchitecture> {
    match decoration.trim_start_matches('.') {
        "" | "nt" => Ok(None),
        decoration => Architecture::of_decoration(decoration).map(Some).ok_or(OtherArchitecture),
    }
}

/// Returns whether a name is an INF's.
#[must_use]
pub fn is_inf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("inf"))
}

/// Returns architecture and version of a decoration as `NTamd64.6.1`.
fn decoration_of(text: &str) -> Option<(Architecture, (u32, u32))> {
    let lower = text.to_lowercase();
    let mut parts = lower.split('.');
    let first = parts.next()?;
    let architecture = if first == "nt" { Architecture::X86 } else { Architecture::of_decoration(first)? };
    let mut number = || parts.next().filter(|part| !part.is_empty()).and_then(|part| part.parse().ok());
    Some((architecture, (number().unwrap_or(5), number().unwrap_or(0))))
}

/// Returns the date of a `DriverVer`, in seconds since 1970.
fn date(value: &str) -> Option<u64> {
    let mut parts = value.split(['/', '-']).map(str::trim);
    let month: u32 = parts.next()?.parse().ok()?;
    let day: u32 = parts.next()?.parse().ok()?;
    let year: u32 = parts.next()?.parse().ok()?;
    if !(YEAR_MIN..=YEAR_MAX).contains(&year) {
        return None;
    }
    let time =
        der::DateTime::new(u16::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?, 0, 0, 0);
    time.ok().map(|time| time.unix_duration().as_secs())
}
