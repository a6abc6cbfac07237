//! What can be known of a driver image without running it, for x86-64 and for x86.
//!
//! | module | what |
//! |---|---|
//! | [`image`] | what a loader sees: imports, subsystem, relocations, checksum |
//! | [`exports`] | what it may import, and how each import takes its arguments |
//! | [`load`] | the image loaded as the kernel does, wherever it likes |
//! | [`symbols`] | the functions of the image, from its PDB |
//! | [`code`] | what each function does with the stack and whom it calls, from its instructions |
//! | [`panics`] | whether the machinery of panics was linked in, and who leads there |
//! | [`stack`] | how deep the stack can get below each function that the system calls |

pub mod code;
pub mod exports;
pub mod image;
pub mod load;
pub mod panics;
pub mod stack;
pub mod symbols;

use serde::Serialize;

/// Why an image cannot be examined.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// It is no PE image.
    #[error("it is no PE image: {0}")]
    Image(#[from] object::Error),
    /// Its machine is neither x86-64 nor x86.
    #[error("its machine {0:#06x} is neither x86-64 nor x86")]
    Machine(u16),
    /// The PDB cannot be read.
    #[error("its PDB cannot be read: {0}")]
    Pdb(String),
    /// The PDB names no function.
    #[error("its PDB names no function of it")]
    NoFunctions,
}

/// What is known of an image.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// What a loader sees.
    pub image: image::Image,
    /// Functions in it.
    pub functions: usize,
    /// Ways to panic.
    pub panics: Vec<panics::Panic>,
    /// The stack.
    pub stack: stack::Stack,
}

/// Examines an image with its PDB.
///
/// # Errors
/// [`AuditError`].
pub fn audit(image: &[u8], pdb: &[u8]) -> Result<Audit, AuditError> {
    let loaded = image::Loaded::parse(image)?;
    let functions = symbols::functions(pdb)?;
    let graph = code::Graph::of(&loaded, functions)?;
    Ok(Audit {
        functions: graph.functions.len(),
        panics: panics::find(&graph),
        stack: stack::measure(&graph),
        image: loaded.image,
    })
}
