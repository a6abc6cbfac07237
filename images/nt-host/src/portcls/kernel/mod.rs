//! What PortCls uses of the kernel, in one place; a double of it for tests on the build machine; and what is built on
//! either.

pub(crate) mod deadline;
#[cfg(test)]
mod double;
#[cfg(target_os = "none")]
pub(crate) mod irp;
pub(crate) mod irql;
pub(crate) mod lock;
#[cfg(target_os = "none")]
mod target;

#[cfg(test)]
pub(crate) use double::*;
#[cfg(target_os = "none")]
pub(crate) use target::*;
