//! What needs no machine: bit maps, calendar, GUIDs as text, hashes, large memory resources, `printf`, sets of
//! ranges, security descriptors, share access.

pub mod bitmap;
pub mod calendar;
pub mod guid;
pub mod hash;
pub mod large_memory;
pub mod printf;
pub mod ranges;
pub mod security_descriptor;
pub mod share_access;
