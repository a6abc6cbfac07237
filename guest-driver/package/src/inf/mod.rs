//! INF files: sections, entries, strings.
//!
//! Own code: the crates for INF files keep sections in a map without lines, order and merging, and know no string
//! tokens. Rules: Windows driver documentation, "General Syntax Rules for INF Files" and the pages of the directives.

pub mod check;
mod encoding;
mod fault;
mod package;
mod strings;
mod syntax;

pub use encoding::decode;
pub use fault::{Fault, STRINGS, SYNTAX, Warnings, place};
pub use package::{PackageInf, is_inf};
pub use strings::Strings;
pub use syntax::{Entry, FIELD_CHARS_MAX, File, Section};
