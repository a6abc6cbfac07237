//! The inner loops, interpolation, mixing, control and effects, in plain Rust and for the instruction sets that are worth it.
//!
//! All of them do the same additions and multiplications in the same order: interpolation is in integers and exact,
//! mixing and control work on eight lanes, one a voice, that never meet until `Bus::reduce` adds them up in a written
//! order, and the effects on eight delay lines or eight frames side by side. That is why the frames are the same with
//! each.

mod choose;
mod kernels;
mod mixing;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(test)]
mod tests;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod x86;

pub(crate) use kernels::Kernels;
#[cfg(test)]
pub(crate) use scalar::turn;
