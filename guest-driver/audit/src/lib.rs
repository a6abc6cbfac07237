//! Static checks of a driver image, for x86-64 and for x86.
//!
//! | module | what |
//! |---|---|
//! | [`image`] | the headers that a loader reads: imports, subsystem, relocations, checksum |
//! | [`exports`] | the functions that the driver may import, and their calling conventions |
//! | [`load`] | the image, loaded as the kernel does, at any base address |
//! | [`symbols`] | the functions of the image, from its PDB |
//! | [`code`] | the stack frame and the calls of each function, from its instructions |
//! | [`panics`] | the panicking functions that were linked in, and their callers |
//! | [`stack`] | how deep the stack can get below each function that the system calls |

pub mod code;
pub mod exports;
pub mod image;
pub mod load;
pub mod panics;
pub mod stack;
pub mod symbols;

use serde::Serialize;

/// Why an image cannot be audited.
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

/// The audit of an image.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// The headers.
    pub image: image::Image,
    /// The number of functions.
    pub functions: usize,
    /// The panicking functions.
    pub panics: Vec<panics::Panic>,
    /// The use of the stack.
    pub stack: stack::Stack,
}

/// Audits an image with its PDB.
///
/// # Errors
/// [`AuditError::Image`] or [`AuditError::Machine`] when it is no image for a known processor; [`AuditError::Pdb`] or
/// [`AuditError::NoFunctions`] when the PDB is unreadable or names no function in it.
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
