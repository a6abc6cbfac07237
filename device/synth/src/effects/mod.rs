//! The two effects that voices send to. DLS leaves open how they sound.

pub(crate) mod chorus;
pub(crate) mod delay;
pub(crate) mod reverb;
