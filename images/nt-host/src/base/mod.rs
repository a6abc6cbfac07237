//! What needs no machine: bit maps, calendar, GUIDs as text, hashes, `printf`, sets of ranges.

pub mod bitmap;
pub mod calendar;
pub mod guid;
pub mod hash;
pub mod printf;
pub mod ranges;
