//! The options of the device that the driver is for.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::Args;
use dmus::event::{Event, Observer};
use dmus::machine::Device;
use dmus::machine::device::{
    DeviceCommand, DeviceSource, PciFunction, QemuArguments, Resource, check_resources, resources,
};
use dmus::provision::inf;
use dmus::testbed::TestBedError;

use super::error::{Error, UsageError};

/// The prefix of `--device` for a vfio-user server that was started elsewhere.
const VFIO_USER: &str = "vfio-user:";

/// The prefix of `--device` for an example card of the project's.
const EXAMPLE: &str = "example:";

/// The heading of these options in `--help`.
const HEADING: &str = "The driver's own device (needs --driver)";

/// Options of the device that the driver is for.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct DeviceArguments {
    /// A device of QEMU's instead of the project's card, as QEMU's -device has it: ES1370, edu, isa-serial,irq=3; further
    /// -device, -chardev, -audiodev, -object, -global may follow. Or vfio-user:SOCKET, a server that runs already; or
    /// example:NAME, a card of device/pci/examples
    #[arg(long, help_heading = HEADING, value_name = "ARGUMENTS", value_parser = read_source, allow_hyphen_values = true, conflicts_with_all = ["device_command", "no_device"])]
    device: Option<DeviceSource>,
    /// A vfio-user server instead of the project's card: started, watched and ended with the run. {socket} is the path that
    /// it listens on, {control} that of its control socket (device/pci/CONTROL.md), {trace} that of a trace that it may record
    #[arg(long, help_heading = HEADING, value_name = "COMMAND {socket} {control}", value_parser = read_command, conflicts_with = "no_device")]
    device_command: Option<DeviceCommand>,
    /// The control socket of a device that runs already
    #[arg(long, help_heading = HEADING, value_name = "SOCKET", requires = "device")]
    device_control: Option<PathBuf>,
    /// No device: the driver gets a device node that no bus enumerates, as a software synthesizer or a virtual cable does
    #[arg(long, help_heading = HEADING)]
    no_device: bool,
    /// Resources of a device that no bus enumerates: port=0x330+2,irq=5,dma=1,memory=0xd0000+0x1000; irq=9:level
    #[arg(long, help_heading = HEADING, value_name = "RESOURCES", value_parser = read_resources, conflicts_with = "pci")]
    resource: Vec<Resources>,
    /// The PCI function that the driver is for, where several could be: vendor and device, and the number among equal ones
    /// from 0
    #[arg(long, help_heading = HEADING, value_name = "VVVV:DDDD[:N]", value_parser = read_pci, conflicts_with = "no_device")]
    pci: Option<PciFunction>,
    /// The driver's INF: its registry values, device interfaces and service are installed before the driver is loaded
    #[arg(long, help_heading = HEADING, value_name = "MY.INF")]
    pub(super) inf: Option<PathBuf>,
}

/// Resources of one option.
type Resources = Vec<Resource>;

fn read_source(text: &str) -> Result<DeviceSource, String> {
    if let Some(name) = text.strip_prefix(EXAMPLE) {
        return Ok(DeviceSource::Example(name.into()));
    }
    match text.strip_prefix(VFIO_USER) {
        Some("") => Err(format!("`{VFIO_USER}` names no socket")),
        Some(socket) => Ok(DeviceSource::VfioUser(socket.into())),
        None => text.parse::<QemuArguments>().map(DeviceSource::Qemu).map_err(|error| error.to_string()),
    }
}

fn read_command(text: &str) -> Result<DeviceCommand, String> {
    DeviceCommand::parse(text, None).map_err(|error| error.to_string())
}

fn read_resources(text: &str) -> Result<Resources, String> {
    resources(text).map_err(|error| error.to_string())
}

fn read_pci(text: &str) -> Result<PciFunction, String> {
    text.parse::<PciFunction>().map_err(|error| error.to_string())
}

impl DeviceArguments {
    /// Returns whether a device other than the project's card is named.
    pub(super) const fn is_named(&self) -> bool {
        self.device.is_some() || self.device_command.is_some() || self.no_device
    }

    /// Returns whether anything is named at all.
    pub(super) const fn is_given(&self) -> bool {
        self.is_named() || !self.resource.is_empty() || self.pci.is_some() || self.inf.is_some()
    }

    /// Returns the options as a command line has them, with a space before each.
    pub(super) fn words(&self) -> String {
        let quoted = |text: String| format!("'{}'", text.replace('\'', r"'\''"));
        let path = |path: &PathBuf| quoted(path.display().to_string());
        let mut words = Vec::new();
        match &self.device {
            Some(DeviceSource::VfioUser(socket)) => {
                words.push(format!("--device {}", quoted(format!("{VFIO_USER}{}", socket.display()))));
            }
            Some(DeviceSource::Example(name)) => words.push(format!("--device {}", quoted(format!("{EXAMPLE}{name}")))),
            Some(DeviceSource::Qemu(arguments)) => words.push(format!("--device {}", quoted(arguments.to_string()))),
            _ => {}
        }
        words.extend(
            self.device_command.iter().map(|command| format!("--device-command {}", quoted(command.to_string()))),
        );
        words.extend(self.device_control.iter().map(|socket| format!("--device-control {}", path(socket))));
        words.extend(self.no_device.then(|| "--no-device".to_owned()));
        words.extend(self.resource.iter().flatten().map(|resource| format!("--resource {resource}")));
        words.extend(self.pci.iter().map(|function| format!("--pci {function}")));
        words.extend(self.inf.iter().map(|inf| format!("--inf {}", path(inf))));
        words.into_iter().map(|word| format!(" {word}")).collect()
    }

    /// Returns the device of a run with no scenario: the one that the options name, or the card.
    ///
    /// # Errors
    /// As for [`DeviceArguments::named`], and [`Error::Usage`] for options that do not belong together.
    pub(super) fn device(&self, driver: Option<&Path>, observer: &dyn Observer) -> Result<Device, Error> {
        let device = self.named(driver.and_then(Path::file_name), observer)?.unwrap_or_default();
        device.check().map_err(|error| UsageError(error.to_string()))?;
        Ok(device)
    }

    /// Returns the device that the options name, with what the INF installs. `driver` is the driver's file, if one is
    /// named.
    ///
    /// # Errors
    /// [`Error::TestBed`] for a device without a driver, [`Error::Usage`] for resources that overlap, [`Error::Inf`] for an INF that is malformed.
    pub(super) fn named(&self, driver: Option<&OsStr>, observer: &dyn Observer) -> Result<Option<Device>, Error> {
        if !self.is_given() {
            return Ok(None);
        }
        let mut device = Device { control: self.device_control.clone(), pci: self.pci, ..Device::default() };
        device.source = match (&self.device, &self.device_command, self.no_device) {
            (Some(source), ..) => source.clone(),
            (None, Some(command), _) => DeviceSource::Command(command.clone()),
            (None, None, true) => DeviceSource::None,
            (None, None, false) => DeviceSource::Card,
        };
        device.resources = self.resource.iter().flatten().copied().collect();
        check_resources(&device.resources).map_err(|error| Error::from(UsageError(error.to_string())))?;
        if !device.is_card() && driver.is_none() {
            return Err(TestBedError::NoDriver { device: device.name() }.into());
        }
        if let Some(path) = &self.inf {
            let read = inf::read(path)?;
            for warning in read.warnings(driver) {
                observer.event(&Event::Warning { text: warning });
            }
            device.installation = Some(read.installation);
        }
        Ok(Some(device))
    }
}
