//! The objects that PortCls makes for adapter drivers: resource lists, interrupt synchronisation, service groups; and
//! the ways in which a probe makes them fail.

pub(crate) mod alteration;
pub(crate) mod call_faults;
#[cfg(target_os = "none")]
pub(crate) mod content;
pub(crate) mod interrupt_sync;
pub(crate) mod resources;
pub(crate) mod service_group;
pub(crate) mod statistics;
