//! From the sections of an INF to what it installs for each model.
//!
//! Rules: Windows driver documentation, "INF Version Section", "INF Manufacturer Section", "INF Models Section",
//! "INF DDInstall Section" and the pages of its companions.

use guest_protocol::{Install, Installation, InstalledInterface, Model, RegistryRoot};

use super::decoration::{self, Decoration};
use super::reader::Reader;
use super::registry::{Keys, guid};
use super::service;
use driver_package::inf::Fault;
use driver_package::inf::{Entry, Section};

const VERSION: &str = "INF Version Section";
const MANUFACTURER: &str = "INF Manufacturer Section";
const MODELS: &str = "INF Models Section";
const DD_INSTALL: &str = "INF DDInstall Section";
const INTERFACES: &str = "INF AddInterface Directive";

/// Most models that are taken: those of whole families of cards are some hundred.
const MODELS_MAX: usize = 4096;

/// The setup class of sound drivers, where the INF names none.
const MEDIA: (&str, &str) = ("MEDIA", "{4d36e96c-e325-11ce-bfc1-08002be10318}");

/// Directives about files and the user's interface: they leave nothing that a driver reads.
const OF_FILES: [&str; 17] = [
    "copyfiles",
    "copyinf",
    "delfiles",
    "renfiles",
    "driverver",
    "featurescore",
    "reboot",
    "updateinis",
    "updateinifields",
    "ini2reg",
    "profileitems",
    "registerdlls",
    "unregisterdlls",
    "addautoplay",
    "delproperty",
    "cataloging",
    // The registry has nothing before that it could delete.
    "delreg",
];

/// What follows the name of an install section and is not carried out, with what to do instead.
const COMPANIONS_LEFT_OUT: [(&str, &str); 8] = [
    ("Events", "the guest has no event log"),
    ("CoInstallers", "they are part of an installer's user interface"),
    ("LogConfigOverride", "name the resources with --resource"),
    ("FactDef", "name the resources with --resource"),
    ("Wdf", "the guest does not host the framework's loader by it"),
    ("WMI", "the guest has no WMI security to set"),
    ("Filters", "the guest has no filter drivers above or below the device"),
    ("Components", "the guest installs no components"),
];

/// Sections of Windows' own INF files for sound that `Needs` names: what they register is outside of the driver's reach.
const OF_WINDOWS: [&str; 4] = ["ks.", "wdmaudio.", "wdmaud.", "audio."];

impl<'a> Reader<'a> {
    /// Returns what the INF installs.
    ///
    /// # Errors
    /// A [`Fault`] for what Windows would refuse, or by which it would install nothing on x64.
    pub(super) fn installation(&mut self, name: &str) -> Result<Installation, Fault> {
        let mut installation = self.version(name)?;
        let manufacturers = self.file.section("Manufacturer").filter(|section| !section.entries.is_empty());
        let Some(manufacturers) = manufacturers else {
            return Err(Fault::new(0, "there is no section [Manufacturer] with an entry", MANUFACTURER));
        };
        let mut sections: Vec<(String, u16)> = Vec::new();
        for entry in &manufacturers.entries {
            self.manufacturer(entry, &mut installation, &mut sections)?;
        }
        if installation.models.is_empty() {
            let what = format!("no model is for {}", decoration::windows());
            return Err(Fault::new(manufacturers.line, what, MODELS));
        }
        Ok(installation)
    }

    fn version(&mut self, name: &str) -> Result<Installation, Fault> {
        let Some(version) = self.file.section("Version") else {
            return Err(Fault::new(0, "there is no section [Version]", VERSION));
        };
        let text = |key: &str, index: usize| -> Result<String, Fault> {
            let entry = version.entries.iter().find(|entry| entry.is(key));
            entry.map_or_else(|| Ok(String::new()), |entry| self.expand_field(entry, index))
        };
        let signature = text("Signature", 0)?;
        if !["$windows nt$", "$chicago$"].contains(&signature.to_lowercase().as_str()) {
            let what = format!("Signature is \"{signature}\", and must be \"$Windows NT$\" or \"$Chicago$\"");
            return Err(Fault::new(version.line, what, VERSION));
        }
        let (mut class, mut class_guid) = (text("Class", 0)?, text("ClassGuid", 0)?.to_lowercase());
        let (provider, date, number) = (text("Provider", 0)?, text("DriverVer", 0)?, text("DriverVer", 1)?);
        if class_guid.is_empty() {
            self.warnings.add(version.line, format!("[Version] has no ClassGuid: {} is taken [{VERSION}]", MEDIA.1));
            class_guid = MEDIA.1.into();
        } else if guid(&class_guid).is_none() {
            return Err(Fault::new(version.line, format!("ClassGuid {class_guid} is no GUID in braces"), VERSION));
        }
        if class.is_empty() {
            class = MEDIA.0.into();
        }
        Ok(Installation {
            inf: name.into(),
            class,
            class_guid,
            provider,
            driver_date: date,
            driver_version: number,
            ..Installation::default()
        })
    }

    /// Reads the models of a manufacturer, of the best section for the guest's Windows.
    fn manufacturer(
        &mut self,
        entry: &Entry,
        installation: &mut Installation,
        sections: &mut Vec<(String, u16)>,
    ) -> Result<(), Fault> {
        // An entry without a value names its section by itself.
        let (name, section) = match &entry.key {
            Some(key) => (self.strings.expand(entry.line, key)?, self.expand_field(entry, 0)?),
            None => (self.expand_field(entry, 0)?, self.expand_field(entry, 0)?),
        };
        let mut best: Option<(Decoration, String)> = None;
        let mut listed = Vec::new();
        for index in 1..entry.fields.len() {
            let text = self.expand_field(entry, index)?;
            let Some(decoration) = Decoration::parse(&text) else {
                let what = format!("`{text}` is no decoration: NT, architecture, version, as NTamd64.10.0...16299");
                return Err(Fault::new(entry.line, what, MANUFACTURER));
            };
            if decoration.fits() && best.as_ref().is_none_or(|(known, _)| known.version() < decoration.version()) {
                best = Some((decoration, text.clone()));
            }
            listed.push(text);
        }
        let Some((_, decoration)) = best else {
            let listed = if listed.is_empty() { "no decoration".to_owned() } else { listed.join(", ") };
            let what = format!(
                "the models of \"{name}\" are for {listed}; x64 reads those of NTamd64 up to {}",
                decoration::windows()
            );
            self.warnings.add(entry.line, format!("{what} [{MANUFACTURER}]"));
            return Ok(());
        };
        let models = self.section(entry.line, &format!("{section}.{decoration}"), MODELS)?;
        for model in &models.entries {
            if installation.models.len() == MODELS_MAX {
                return Err(Fault::new(model.line, format!("there are more than {MODELS_MAX} models"), MODELS));
            }
            let found = self.model(model, &name, installation, sections)?;
            installation.models.push(found);
        }
        Ok(())
    }

    fn model(
        &mut self,
        entry: &Entry,
        manufacturer: &str,
        installation: &mut Installation,
        sections: &mut Vec<(String, u16)>,
    ) -> Result<Model, Fault> {
        let Some(key) = &entry.key else {
            return Err(Fault::new(entry.line, "a model is description = install-section, hardware-id", MODELS));
        };
        let section = self.expand_field(entry, 0)?;
        let ids = (1..entry.fields.len()).map(|index| self.expand_field(entry, index));
        let mut ids = ids.collect::<Result<Vec<String>, _>>()?;
        if section.is_empty() || ids.iter().all(String::is_empty) {
            let what = "the model names no install section, or neither a hardware id nor a compatible id";
            return Err(Fault::new(entry.line, what, MODELS));
        }
        let install = match sections.iter().find(|(known, _)| known.eq_ignore_ascii_case(&section)) {
            Some((_, index)) => *index,
            None => {
                // Fewer than models, of which there are at most `MODELS_MAX`.
                let index = installation.installs.len() as u16;
                installation.installs.push(self.install(entry.line, &section)?);
                sections.push((section, index));
                index
            }
        };
        Ok(Model {
            description: self.strings.expand(entry.line, key)?,
            manufacturer: manufacturer.into(),
            hardware_id: ids.remove(0),
            compatible_ids: ids,
            install,
        })
    }

    /// Reads an install section and its companions.
    fn install(&mut self, line: usize, name: &str) -> Result<Install, Fault> {
        let decorated = [format!("{name}.NTamd64"), format!("{name}.NT"), name.to_owned()];
        let Some(section) = decorated.iter().find_map(|name| self.file.section(name)) else {
            return Err(Fault::new(line, format!("there is no section [{}]", decorated.join("], [")), DD_INSTALL));
        };
        let mut install = Install { section: section.name.clone(), ..Install::default() };
        let mut keys = Keys::default();
        keys.create(RegistryRoot::Driver, "");
        self.directives(section, RegistryRoot::Driver, &mut keys)?;
        if let Some(hardware) = self.companion(section, "HW") {
            self.directives(hardware, RegistryRoot::Device, &mut keys)?;
        }
        if let Some(services) = self.companion(section, "Services") {
            for entry in &services.entries {
                if entry.is("AddService") {
                    if let Some(name) = service::add(self, entry, &mut keys)? {
                        install.service = name;
                    }
                } else if !entry.is("DelService") {
                    self.include_or_unknown(entry, services)?;
                }
            }
        } else {
            let what = format!(
                "[{}.Services] is missing: the device has no driver [INF DDInstall.Services Section]",
                section.name
            );
            self.warnings.add(section.line, what);
        }
        if let Some(interfaces) = self.companion(section, "Interfaces") {
            for entry in &interfaces.entries {
                if entry.is("AddInterface") {
                    install.interfaces.push(self.interface(entry)?);
                } else {
                    self.include_or_unknown(entry, interfaces)?;
                }
            }
        }
        for other in self.file.sections_with(&format!("{}.", section.name)) {
            let suffix = other.name.get(section.name.len() + 1..).unwrap_or_default();
            let left_out = COMPANIONS_LEFT_OUT.iter().find(|(name, _)| name.eq_ignore_ascii_case(suffix));
            if let Some((_, remedy)) = left_out {
                self.warnings.add(other.line, format!("[{}] is not carried out: {remedy}", other.name));
            }
        }
        install.keys = keys.into_keys();
        Ok(install)
    }

    fn companion(&self, section: &Section, suffix: &str) -> Option<&'a Section> {
        self.file.section(&format!("{}.{suffix}", section.name))
    }

    /// Carries out the directives of a section that write to a key of the device.
    fn directives(&mut self, section: &Section, root: RegistryRoot, keys: &mut Keys) -> Result<(), Fault> {
        for entry in &section.entries {
            if entry.is("AddReg") {
                self.add_registry(entry, root, "", keys)?;
            } else if entry.is("LogConfig") {
                self.warnings.add(entry.line, "LogConfig is not carried out: name the resources with --resource");
            } else {
                self.include_or_unknown(entry, section)?;
            }
        }
        Ok(())
    }

    /// Looks at a directive that writes nothing itself, and warns of one that is not carried out.
    fn include_or_unknown(&mut self, entry: &Entry, section: &Section) -> Result<(), Fault> {
        let key = entry.key.as_deref().unwrap_or_default();
        if key.eq_ignore_ascii_case("Include") || OF_FILES.iter().any(|known| known.eq_ignore_ascii_case(key)) {
            return Ok(());
        }
        if !key.eq_ignore_ascii_case("Needs") {
            self.not_carried_out(entry, &section.name);
            return Ok(());
        }
        for index in 0..entry.fields.len() {
            let name = self.expand_field(entry, index)?.to_lowercase();
            if !OF_WINDOWS.iter().any(|prefix| name.starts_with(prefix)) {
                let what = format!("Needs = {name} is not carried out: the INF that has it is not read");
                self.warnings.add(entry.line, what);
            }
        }
        Ok(())
    }

    /// Reads an `AddInterface` and its section.
    fn interface(&mut self, entry: &Entry) -> Result<InstalledInterface, Fault> {
        let text = self.expand_field(entry, 0)?;
        let Some(class) = guid(&text) else {
            return Err(Fault::new(
                entry.line,
                format!("`{text}` is no interface class: a GUID in braces"),
                INTERFACES,
            ));
        };
        let reference = self.expand_field(entry, 1)?;
        if reference.contains(['\\', '/']) {
            let what = format!("the reference string `{reference}` has a slash or backslash");
            return Err(Fault::new(entry.line, what, INTERFACES));
        }
        let mut keys = Keys::default();
        let name = self.expand_field(entry, 2)?;
        if !name.is_empty() {
            // As for install sections, one with a suffix goes before one without.
            let decorated = [format!("{name}.NTamd64"), format!("{name}.NT"), name.clone()];
            let Some(section) = decorated.iter().find_map(|name| self.file.section(name)) else {
                return Err(Fault::new(entry.line, format!("there is no section [{name}]"), INTERFACES));
            };
            // `HKR` is the interface's own key; what has another root is the machine's.
            self.directives(section, RegistryRoot::Device, &mut keys)?;
        }
        let (own, others): (Vec<_>, Vec<_>) =
            keys.into_keys().into_iter().partition(|key| key.root == RegistryRoot::Device);
        for key in others {
            self.warnings.add(
                entry.line,
                format!("the key {} of an interface's section is left out: only HKR is written", key.path),
            );
        }
        Ok(InstalledInterface { class, reference, keys: own.into_iter().map(|key| (key.path, key.values)).collect() })
    }
}
