//! The guest of a run: the NT host, or an image with a system of its own.

use std::time::Duration;

use clap::Args;
use dmus::event::Observer;
use dmus::image::{BOOT_LIMIT, ImageGuest, Store};
use dmus::provision::{Artefact, Overrides, OvmfFiles, Provisioner, Workspace};

use super::error::Error;

/// The name of the guest that needs no image.
const NT_HOST: &str = "nt-host";

/// Options about the guest.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct GuestArguments {
    /// The guest: an image by its name (`image list`), instead of the NT host. The image stays as it is
    #[arg(long, value_name = "NAME")]
    pub(crate) guest: Option<String>,
    /// How long an image may take until its agent comes; without, half an hour
    #[arg(long, value_name = "SECONDS", requires = "guest", value_parser = clap::value_parser!(u64).range(1..=86400))]
    boot_timeout: Option<u64>,
}

impl GuestArguments {
    /// Returns the name of the image, if one is named.
    pub(crate) fn image(&self) -> Option<&str> {
        self.guest.as_deref().filter(|name| *name != NT_HOST)
    }

    /// Finds the image, so that what is wrong with it shows before anything is built.
    ///
    /// # Errors
    /// [`Error::Image`] for an image that is not there, is half-made or was changed; [`Error::Provision`] where its firmware cannot be had.
    pub(crate) fn open(&self, workspace: &Workspace, observer: &dyn Observer) -> Result<Option<ImageGuest>, Error> {
        let Some(name) = self.image() else { return Ok(None) };
        let limit = self.boot_timeout.map_or(BOOT_LIMIT, Duration::from_secs);
        let ovmf = || -> Result<Option<OvmfFiles>, Error> {
            let provisioner = Provisioner::new(workspace, Overrides::default(), observer)?;
            Ok(OvmfFiles::of(&provisioner.resolve(Artefact::Ovmf)?))
        };
        ImageGuest::open(&Store::of_user()?, name, limit, ovmf).map(Some)
    }
}
