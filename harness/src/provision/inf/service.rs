//! The service of a driver, as `AddService` and its section describe it.
//!
//! Rules: Windows driver documentation, "INF AddService Directive".

use guest_protocol::{RegistryRoot, RegistryValue};

use super::add_reg::number;
use super::reader::Reader;
use super::registry::{Keys, kind, number_value, string, string_value};
use driver_package::inf::Fault;
use driver_package::inf::{Entry, Section};

/// The page of the directive.
const RULE: &str = "INF AddService Directive";

/// `SPSVCINST_ASSOCSERVICE`: the service is the device's function driver.
const OF_THE_DEVICE: u32 = 2;

/// `SERVICE_KERNEL_DRIVER`.
const KERNEL_DRIVER: u32 = 1;

/// Directives of a service's section that say nothing to the driver.
const IRRELEVANT: [&str; 8] = [
    "startname",
    "security",
    "delreg",
    "serviceSidType",
    "addtrigger",
    "triggers",
    "failureactions",
    "requiredprivileges",
];

/// Carries out an `AddService`. Returns the name of the service if it is the device's.
///
/// # Errors
/// A [`Fault`] for an entry that the page does not allow.
pub(super) fn add(reader: &mut Reader<'_>, entry: &Entry, keys: &mut Keys) -> Result<Option<String>, Fault> {
    let fault = |what: String| Fault::new(entry.line, what, RULE);
    let name = reader.expand_field(entry, 0)?;
    let flags = match reader.expand_field(entry, 1)?.as_str() {
        "" => 0,
        text => number(text).ok_or_else(|| fault(format!("the flags `{text}` are no number")))?,
    };
    let of_the_device = flags & OF_THE_DEVICE != 0;
    if name.is_empty() {
        // A device without a function driver.
        return if of_the_device { Ok(Some(String::new())) } else { Err(fault("the service has no name".into())) };
    }
    if name.contains(['\\', '/']) {
        return Err(fault(format!("the service's name `{name}` has a slash or backslash")));
    }
    let section = reader.expand_field(entry, 2)?;
    let section = reader.section(entry.line, &section, RULE)?;
    let (root, path) = if of_the_device {
        (RegistryRoot::Service, String::new())
    } else {
        let what =
            format!("the service {name} is not the device's function driver: its key is written, and it does not run");
        reader.warnings.add(entry.line, what);
        (RegistryRoot::Machine, format!("System\\CurrentControlSet\\Services\\{name}"))
    };
    keys.create(root, &path);
    settings(reader, section, root, &path, keys)?;
    if entry.field(3).is_some() {
        reader.warnings.add(entry.line, "the event log's section is not carried out: the guest has no event log");
    }
    Ok(of_the_device.then_some(name))
}

/// Carries out the section of a service.
fn settings(
    reader: &mut Reader<'_>,
    section: &Section,
    root: RegistryRoot,
    path: &str,
    keys: &mut Keys,
) -> Result<(), Fault> {
    let mut found = [("ServiceType", false), ("StartType", false), ("ErrorControl", false), ("ServiceBinary", false)];
    for entry in &section.entries {
        let key = entry.key.as_deref().unwrap_or_default();
        found.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case(key)).for_each(|(_, found)| *found = true);
        let text = reader.expand_field(entry, 0)?;
        let numeric = |name: &str| {
            let wrong = || Fault::new(entry.line, format!("{key} is `{text}`, which is no number"), RULE);
            number(&text).map(|number| number_value(name, number)).ok_or_else(wrong)
        };
        let value = match key.to_ascii_lowercase().as_str() {
            "displayname" => string_value("DisplayName", &text),
            "description" => string_value("Description", &text),
            "servicetype" => {
                let value = numeric("Type")?;
                if value.data != KERNEL_DRIVER.to_le_bytes() {
                    let what = format!("ServiceType is {text}; a driver's is {KERNEL_DRIVER} (SERVICE_KERNEL_DRIVER)");
                    return Err(Fault::new(entry.line, what, RULE));
                }
                value
            }
            "starttype" => numeric("Start")?,
            "errorcontrol" => numeric("ErrorControl")?,
            "loadordergroup" => string_value("Group", &text),
            "dependencies" => {
                let mut data = Vec::new();
                for index in 0..entry.fields.len() {
                    data.extend(string(&reader.expand_field(entry, index)?));
                }
                data.extend([0, 0]);
                RegistryValue { name: "DependOnService".into(), kind: kind::MULTI_SZ, data }
            }
            "servicebinary" => {
                let file = text.rsplit('\\').next().unwrap_or_default();
                reader.add_binary(file);
                // As the service control manager writes it.
                let image = text.replacen("C:\\Windows", "\\SystemRoot", 1);
                RegistryValue { name: "ImagePath".into(), kind: kind::EXPAND_SZ, data: string(&image) }
            }
            "addreg" => {
                reader.add_registry(entry, root, path, keys)?;
                continue;
            }
            other if IRRELEVANT.iter().any(|known| known.eq_ignore_ascii_case(other)) => continue,
            _ => {
                reader.not_carried_out(entry, &section.name);
                continue;
            }
        };
        keys.write(root, path, value);
    }
    match found.iter().find(|(_, found)| !found) {
        Some((name, _)) => {
            Err(Fault::new(section.line, format!("the service's section [{}] has no {name}", section.name), RULE))
        }
        None => Ok(()),
    }
}
