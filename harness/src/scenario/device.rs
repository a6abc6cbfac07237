//! The device of a scenario: what its table `[device]` says, checked.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::document::{DeviceTable, Document, TestKind};
use super::malformed::{ScenarioError, Source};
use crate::machine::device::{Device, DeviceCommand, DeviceSource, check_resources, resources};
use crate::provision::inf;

/// The device of a scenario.
#[derive(Default)]
pub(super) struct ScenarioDevice {
    /// The device.
    pub(super) device: Device,
    /// What its INF says and is not carried out.
    pub(super) notices: Vec<String>,
}

/// Reads the table `[device]`. Paths are relative to the scenario's folder.
///
/// # Errors
/// [`ScenarioError::Malformed`] at the place of what a device cannot be, or what does not belong together.
pub(super) fn device(file: Source<'_>, folder: &Path, document: &Document) -> Result<ScenarioDevice, ScenarioError> {
    let DeviceTable { qemu, vfio_user, command, example, control, none, resources: listed, pci, inf } =
        &document.device;
    let mut device = Device::default();
    let mut place: Option<Range<usize>> = None;
    let mut source = |found: DeviceSource, span: Range<usize>| {
        if place.is_some() {
            let message = "a device is one of qemu, vfio_user, command, example and none = true";
            return Err(file.error(span, message));
        }
        (device.source, place) = (found, Some(span));
        Ok(())
    };
    let at = |span: Range<usize>, error: &dyn std::error::Error| file.error(span, &error.to_string());
    if let Some(text) = qemu {
        let arguments = text.get_ref().parse().map_err(|error| at(text.span(), &error as &dyn std::error::Error))?;
        source(DeviceSource::Qemu(arguments), text.span())?;
    }
    if let Some(socket) = vfio_user {
        source(DeviceSource::VfioUser(folder.join(socket.get_ref())), socket.span())?;
    }
    if let Some(text) = command {
        let command = DeviceCommand::parse(text.get_ref(), Some(folder)).map_err(|error| at(text.span(), &error))?;
        source(DeviceSource::Command(command), text.span())?;
    }
    if let Some(name) = example {
        source(DeviceSource::Example(name.get_ref().clone()), name.span())?;
    }
    if let Some(none) = none {
        if !none.get_ref() {
            return Err(file.error(none.span(), "none = true says that there is no device; leave it out otherwise"));
        }
        source(DeviceSource::None, none.span())?;
    }
    device.control = control.as_ref().map(|socket| folder.join(socket.get_ref()));
    for text in listed {
        device.resources.extend(resources(text.get_ref()).map_err(|error| at(text.span(), &error))?);
        check_resources(&device.resources).map_err(|error| at(text.span(), &error))?;
    }
    if let Some(text) = pci {
        device.pci = Some(text.get_ref().parse().map_err(|error| at(text.span(), &error as &dyn std::error::Error))?);
    }
    let mut notices = Vec::new();
    if let Some(path) = inf {
        let read = inf::read(&folder.join(path.get_ref())).map_err(|error| at(path.span(), &error))?;
        notices = read.warnings(document.driver.as_deref().and_then(Path::file_name));
        device.installation = Some(read.installation);
    }
    let spans = [
        listed.first().map(Spanned::span),
        control.as_ref().map(Spanned::span),
        pci.as_ref().map(Spanned::span),
        place.clone(),
    ];
    let span = spans.into_iter().flatten().next().unwrap_or(0..0);
    device.check().map_err(|error| at(span, &error))?;
    if let Some(span) = place {
        expect_no_card(file, document, &device, span)?;
    }
    Ok(ScenarioDevice { device, notices })
}

/// Refuses what only the project's card can do.
fn expect_no_card(
    file: Source<'_>,
    document: &Document,
    device: &Device,
    span: Range<usize>,
) -> Result<(), ScenarioError> {
    if matches!(document.test, Some(TestKind::Recovery | TestKind::CardKills | TestKind::Kills)) {
        let message = "test = \"recovery\", \"card-kills\" and \"kills\" are of the project's card, not of a device";
        return Err(file.error(span, message));
    }
    if let Some(stall) = document.stall.first() {
        return Err(file.error(stall.span(), "a stall waits for a frame of the project's card, which is not there"));
    }
    if let Some(fault) = &document.fault
        && fault.get_ref().kill == crate::machine::Part::Card
        && !device.is_served()
    {
        return Err(file.error(fault.span(), "the device has no process of the harness's to kill"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    const INF: &str = "../guest-driver/inf/dmuscard.inf";

    /// Reads a scenario beside the crate's manifest.
    fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("x.toml");
        Scenario::parse(Source { path: &path, text: &format!("title = 't'\ndriver = 'my.sys'\n{text}") })
    }

    #[test]
    fn reads_a_device_with_paths_beside_the_scenario() {
        let scenario = parse("[device]\nqemu = 'isa-serial,irq=3'\nresources = ['port=0x2f8+8', 'irq=3']").unwrap();
        assert_eq!(scenario.device.guest_options(), "device=root\nresource=port:2f8+8\nresource=irq:3:edge\n");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let elsewhere =
            parse("[device]\nvfio_user = 'card.sock'\ncontrol = 'control.sock'\npci = '4242:0401'").unwrap();
        assert_eq!(elsewhere.device.source, DeviceSource::VfioUser(folder.join("card.sock")));
        assert_eq!(elsewhere.device.control, Some(folder.join("control.sock")));
        let served = parse("[device]\ncommand = './card {socket}'").unwrap();
        let DeviceSource::Command(command) = &served.device.source else { panic!("{:?}", served.device) };
        let command = command.command(Path::new("s"), Path::new("c"), Path::new("t"));
        assert_eq!(Path::new(command.get_program()), folder.join("./card"));
        let example = parse("[device]\nexample = 'mpu401'").unwrap();
        assert_eq!(example.device.source, DeviceSource::Example("mpu401".into()));
        // An INF of the card's own driver.
        let installed = parse(&format!("[device]\ninf = '{INF}'")).unwrap();
        assert!(installed.device.is_card() && installed.device.installation.is_some());
        assert_eq!(installed.notices.len(), 1, "the INF is for another file than my.sys: {:?}", installed.notices);
        assert_eq!(parse("").unwrap().device, Device::default());
        assert!(parse("[device]\nnone = true").unwrap().device.is_root());
    }

    #[test]
    fn refuses_what_does_not_belong_together_at_its_line() {
        for (text, line, expected) in [
            ("[device]\nqemu = 'edu'\nnone = true", 5, "a device is one of"),
            ("[device]\ncommand = 'x {socket}'\nvfio_user = 's'", 4, "a device is one of"),
            ("[device]\nexample = 'mpu401'\nnone = true", 5, "a device is one of"),
            ("[device]\nnone = false", 4, "leave it out"),
            ("[device]\nqemu = '-device edu'", 4, "without -device itself"),
            ("[device]\ncommand = 'card'", 4, "has no {socket}"),
            ("[device]\nresources = ['irq=5']", 4, "no bus enumerates"),
            ("[device]\nnone = true\nresources = ['irq=5', 'irq=7']", 5, "overlap"),
            ("[device]\nnone = true\nresources = ['irq=4']", 5, "serial line"),
            ("[device]\nnone = true\npci = '4242:0401'", 5, "no PCI function to choose"),
            ("[device]\nqemu = 'edu'\npci = '4242'", 5, "VVVV:DDDD"),
            ("[device]\nqemu = 'edu'\npci = '1234:11e8'\nresources = ['irq=5']", 6, "not both"),
            ("[device]\ncontrol = 'c'", 4, "runs already"),
            ("[device]\ninf = 'absent.inf'", 4, "absent.inf"),
            ("[device]\nlamp = 'on'", 4, "lamp"),
            ("test = 'recovery'\n[device]\nnone = true", 5, "of the project's card"),
            ("test = 'kills'\n[device]\nqemu = 'edu'", 5, "of the project's card"),
            ("[device]\nnone = true\n[fault]\nkill = 'card'\nat = 'streaming'", 5, "no process"),
            (
                "[device]\nnone = true\n[[stall]]\nprocess = 'qemu'\nat_frame = 1\nmilliseconds = 1",
                5,
                "a frame of the project's card",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("x.toml:{line}:")) && error.contains(expected), "{text}: {error}");
        }
    }
}
