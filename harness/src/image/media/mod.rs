//! Installation discs: their file systems, the images that they hold, and what they are.
//!
//! A disc is hostile input: every length is checked against the disc and a bound of its own, and a path has as many steps as it has names,
//! so that folders in a circle cost nothing.

mod disc;
mod identify;
mod iso9660;
mod udf;
mod wim;

pub use disc::{Disc, DiscError, DiscFile};
pub use identify::{BootWays, Family, Media, MediaError, MediaKind};
pub use wim::{Architecture, WimImage};
