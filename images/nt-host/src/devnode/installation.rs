//! What the driver's INF installs, as the harness has read it.

use alloc::borrow::ToOwned;
use alloc::string::String;

use guest_protocol::{Install, Installation, Model, RegistryRoot};

use super::Node;
use crate::arch::uninterrupted::Uninterrupted;

/// The setup class of sound drivers, for a driver without an INF.
const MEDIA: (&str, &str) = ("MEDIA", "{4d36e96c-e325-11ce-bfc1-08002be10318}");

/// The key by which an INF asks for message interrupts, and its values ("Enabling Message-Signaled Interrupts in the
/// Registry"): whether, and how many at most.
const MESSAGES: &str = "Interrupt Management\\MessageSignaledInterruptProperties";
const MESSAGES_SUPPORTED: &str = "MSISupported";
const MESSAGES_LIMIT: &str = "MessageNumberLimit";

static INSTALLED: Uninterrupted<Option<Installation>> = Uninterrupted::new(None);

/// Sets what is installed.
pub fn set(installation: Installation) {
    INSTALLED.with(|slot| *slot = Some(installation));
}

/// Returns what is installed, if an INF was given.
#[must_use]
pub fn installed() -> Option<Installation> {
    INSTALLED.with(|installed| installed.clone())
}

/// Returns the name of the setup class.
#[must_use]
pub fn class() -> String {
    INSTALLED.with(|installed| installed.as_ref().map_or_else(|| MEDIA.0.to_owned(), |i| i.class.clone()))
}

/// Returns the GUID of the setup class, in braces.
#[must_use]
pub fn class_guid() -> String {
    INSTALLED.with(|installed| installed.as_ref().map_or_else(|| MEDIA.1.to_owned(), |i| i.class_guid.clone()))
}

/// Returns the model that a device which no bus enumerates is installed by.
#[must_use]
pub fn root_model() -> Option<Model> {
    INSTALLED.with(|installed| installed.as_ref()?.root_model().cloned())
}

/// Returns the model that a device is installed by, and its installation.
#[must_use]
pub fn of(node: &Node) -> Option<(Model, Install)> {
    let ids = node.ids();
    INSTALLED.with(|installed| {
        let installed = installed.as_ref()?;
        let model = match node {
            Node::Function(_) => installed.model_of(&ids)?,
            Node::Root(_) => installed.root_model()?,
        };
        Some((model.clone(), installed.install_of(model)?.clone()))
    })
}

/// Returns the most messages that the INF wants for a device: as many as it has where the INF names no number. `None` when
/// it wants none.
#[must_use]
pub fn messages(node: &Node) -> Option<u16> {
    let (_, install) = of(node)?;
    let number = |name: &str| {
        let keys = install.keys.iter();
        let key = keys.filter(|key| key.root == RegistryRoot::Device && key.path.eq_ignore_ascii_case(MESSAGES));
        let value = key.flat_map(|key| &key.values).rfind(|value| value.name.eq_ignore_ascii_case(name))?;
        Some(u32::from_le_bytes(value.data.get(..4)?.try_into().ok()?))
    };
    (number(MESSAGES_SUPPORTED)? != 0).then(|| {
        let limit = number(MESSAGES_LIMIT).unwrap_or(u32::MAX);
        u16::try_from(limit).unwrap_or(u16::MAX)
    })
}
