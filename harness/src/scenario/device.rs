//! The device of a scenario: what its table `[device]` says, checked.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::document::{DeviceTable, Document, TestKind};
use super::malformed::{ScenarioError, Source};
use crate::machine::device::{Device, DeviceCommand, DeviceSource, check_resources, resources};
use crate::provision::inf;

/// The device of a scenario.
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
    let DeviceTable { qemu, vfio_user, command, control, none, resources: listed, pci, inf } = &document.device;
    let mut device = Device::default();
    let mut place: Option<Range<usize>> = None;
    let mut source = |found: DeviceSource, span: Range<usize>| {
        if place.is_some() {
            let message = "a device is one of qemu, vfio_user, command and none = true";
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
    if matches!(document.test, Some(TestKind::Recovery | TestKind::Kills)) {
        return Err(
            file.error(span, "test = \"recovery\" and test = \"kills\" are of the project's card, not of a device")
        );
    }
    if let Some(stall) = document.stall.first() {
        return Err(file.error(stall.span(), "a stall waits for a frame of the project's card, which is not there"));
    }
    if let Some(fault) = &document.fault
        && fault.get_ref().kill == crate::machine::Part::Card
        && !matches!(device.source, DeviceSource::Command(_))
    {
        return Err(file.error(fault.span(), "the device has no process of the harness's to kill"));
    }
    Ok(())
}
