//! What every part of the reader of an INF needs: its sections, its strings, its warnings.

use guest_protocol::RegistryRoot;

use super::add_reg;
use super::registry::Keys;
use driver_package::inf::Strings;
use driver_package::inf::{Entry, File, Section};
use driver_package::inf::{Fault, Warnings};

/// The page of the directive that writes to the registry.
const ADD_REG: &str = "INF AddReg Directive";

/// Most bytes of all registry values together: what an INF of the greatest length can name once.
const VALUES_BYTES_MAX: usize = 8 << 20;

/// Reads what an INF installs.
pub(super) struct Reader<'a> {
    pub(super) file: &'a File,
    pub(super) strings: &'a Strings,
    pub(super) warnings: &'a mut Warnings,
    binaries: Vec<String>,
    bytes: usize,
}

impl<'a> Reader<'a> {
    /// Creates a reader of a file with its strings.
    pub(super) const fn new(file: &'a File, strings: &'a Strings, warnings: &'a mut Warnings) -> Self {
        Self { file, strings, warnings, binaries: Vec::new(), bytes: 0 }
    }

    /// Returns the files of the services' binaries.
    pub(super) fn binaries(self) -> Vec<String> {
        self.binaries
    }

    /// Notes the file of a service's binary.
    pub(super) fn add_binary(&mut self, file: &str) {
        if !self.binaries.iter().any(|known| known.eq_ignore_ascii_case(file)) {
            self.binaries.push(file.into());
        }
    }

    /// Returns a field with its tokens replaced; empty if it is not there.
    pub(super) fn expand_field(&self, entry: &Entry, index: usize) -> Result<String, Fault> {
        self.strings.expand(entry.line, entry.fields.get(index).map_or("", String::as_str))
    }

    /// Returns a section that an entry names.
    pub(super) fn section(&self, line: usize, name: &str, rule: &'static str) -> Result<&'a Section, Fault> {
        self.file.section(name).ok_or_else(|| Fault::new(line, format!("there is no section [{name}]"), rule))
    }

    /// Warns of a directive that is not carried out.
    pub(super) fn not_carried_out(&mut self, entry: &Entry, section: &str) {
        let key = entry.key.as_deref().or_else(|| entry.field(0)).unwrap_or_default();
        self.warnings.add(entry.line, format!("the directive {key} in [{section}] is not carried out"));
    }

    /// Carries out the add-registry sections that an `AddReg` names.
    pub(super) fn add_registry(
        &mut self,
        entry: &Entry,
        root: RegistryRoot,
        below: &str,
        keys: &mut Keys,
    ) -> Result<(), Fault> {
        let before = keys.bytes();
        for index in 0..entry.fields.len() {
            let name = self.expand_field(entry, index)?;
            let section = self.section(entry.line, &name, ADD_REG)?;
            add_reg::apply(section, root, below, self.strings, keys, self.warnings)?;
        }
        self.bytes += keys.bytes() - before;
        if self.bytes > VALUES_BYTES_MAX {
            let what = format!("the INF writes more than {VALUES_BYTES_MAX} bytes of registry values");
            return Err(Fault::new(entry.line, what, ADD_REG));
        }
        Ok(())
    }
}
