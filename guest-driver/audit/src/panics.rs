//! The panicking functions that were linked in, and their callers.
//!
//! A panic ends in the panic handler. When no function of the image calls it, the linker has left it out, and no input
//! can make the driver panic.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::code::{Callee, Graph};

/// The beginnings of names of functions that do nothing but panic.
const PANICKING: [&str; 12] = [
    "core::panicking::",
    "core::option::unwrap_failed",
    "core::option::expect_failed",
    "core::result::unwrap_failed",
    "core::slice::index::slice_",
    "core::slice::copy_from_slice_impl::len_mismatch_fail",
    "core::str::slice_error_fail",
    "core::cell::panic_",
    "alloc::raw_vec::capacity_overflow",
    "alloc::raw_vec::handle_error",
    "alloc::alloc::handle_alloc_error",
    "__rustc::rust_begin_unwind",
];

/// A function that panics, and its callers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Panic {
    /// The function.
    pub function: String,
    /// The functions that call it.
    pub callers: BTreeSet<String>,
}

fn panics(name: &str) -> bool {
    PANICKING.iter().any(|beginning| name.starts_with(beginning)) || name.contains("rust_begin_unwind")
}

/// Finds the panicking functions. An image that cannot panic has none.
#[must_use]
pub fn find(graph: &Graph) -> Vec<Panic> {
    let mut found = Vec::new();
    for (address, function) in &graph.functions {
        let Some(name) = function.names.iter().find(|name| panics(name)) else { continue };
        let callers = graph.functions.values().filter(|caller| caller.calls.contains(&Callee::Own(*address)));
        let callers = callers.map(|caller| caller.name().to_owned()).collect();
        found.push(Panic { function: name.clone(), callers });
    }
    found
}
