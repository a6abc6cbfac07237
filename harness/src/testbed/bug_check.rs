//! Reports a bug check to the author of the driver: addresses become functions, files and lines.

use std::fmt::Write;
use std::path::Path;

use guest_protocol::{BugCheck, StackFrame};
use serde::Serialize;

use super::symbols;
pub use super::symbols::Function;
use crate::machine::conditions::Conditions;

/// The module name of guest addresses in the NT host itself.
pub(crate) const HOST_MODULE: &str = "nt-host";

/// A stack frame with its place in the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The return address.
    pub address: u64,
    /// `module+0x123`, or only the address.
    pub offset: String,
    /// The functions there, innermost first: more than one where calls were inlined.
    pub functions: Vec<Function>,
}

/// A stack, with the places of its frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// The frames, innermost first.
    pub places: Vec<Place>,
    /// Why the driver's functions have no names, if they have none.
    pub without_symbols: Option<String>,
}

/// Finds the source of stack frames from the symbols of driver and NT host; a frame without symbols keeps its address.
#[must_use]
pub fn places(stack: &[StackFrame], driver: Option<&Path>, nt_host: Option<&Path>) -> Stack {
    let driver_stack: Vec<u32> =
        stack.iter().map(|frame| if is_host(frame) { 0 } else { u32::try_from(frame.offset).unwrap_or(0) }).collect();
    let of_driver = stack.iter().any(|frame| frame.module.is_some() && !is_host(frame));
    let (from_driver, without_symbols) =
        match driver.filter(|_| of_driver).map(|path| symbols::functions(path, &driver_stack)) {
            Some(Ok(found)) => (Some(found), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
    let host = nt_host.and_then(|path| addr2line::Loader::new(path).ok());
    let places = stack
        .iter()
        .enumerate()
        .map(|(index, frame)| {
            let functions = match (&frame.module, &host, &from_driver) {
                (Some(_), Some(host), _) if is_host(frame) => host_functions(host, frame.address),
                (Some(_), _, Some(found)) if !is_host(frame) => found[index].clone(),
                _ => Vec::new(),
            };
            let offset = match &frame.module {
                Some(module) => format!("{module}+{:#x}", frame.offset),
                None => format!("{:#018x}", frame.address),
            };
            Place { address: frame.address, offset, functions }
        })
        .collect();
    Stack { places, without_symbols }
}

fn is_host(frame: &StackFrame) -> bool {
    frame.module.as_deref() == Some(HOST_MODULE)
}

fn host_functions(host: &addr2line::Loader, address: u64) -> Vec<Function> {
    let probe = address.saturating_sub(1);
    let mut functions = Vec::new();
    if let Ok(mut frames) = host.find_frames(probe) {
        while let Ok(Some(frame)) = frames.next() {
            let name = frame.function.as_ref().and_then(|name| name.demangle().ok()).map(std::borrow::Cow::into_owned);
            let line =
                frame.location.and_then(|place| Some(format!("{}:{}", place.file?, place.line.unwrap_or_default())));
            functions.push(Function { name: name.unwrap_or_else(|| "?".into()), line });
        }
    }
    if functions.is_empty()
        && let Some(name) = host.find_symbol(probe)
    {
        functions.push(Function { name: name.into(), line: None });
    }
    functions
}

/// Returns the whole report, as text.
#[must_use]
pub fn report(bug_check: &BugCheck, stack: &Stack) -> String {
    let mut text = String::new();
    let BugCheck { code, name, parameters, rule, message, function, irql, .. } = bug_check;
    let parameters = parameters.map(|parameter| format!("{parameter:#x}")).join(", ");
    let _ = writeln!(text, "*** STOP {code:#010x} {name} ({parameters})");
    if let Some(rule) = rule {
        let _ = writeln!(text, "rule {rule} of the NT host's contract");
    }
    let _ = writeln!(text, "{message}\nin {function}, at IRQL {irql}\nstack, innermost first:");
    for place in &stack.places {
        match place.functions.as_slice() {
            [] => {
                let _ = writeln!(text, "  {}", place.offset);
            }
            functions => {
                for (index, function) in functions.iter().enumerate() {
                    let place = if index == 0 { place.offset.as_str() } else { "(inlined into)" };
                    let line = function.line.as_deref().unwrap_or("");
                    let _ = writeln!(text, "  {place:24} {} {line}", function.name);
                }
            }
        }
    }
    if let Some(reason) = &stack.without_symbols {
        let _ = writeln!(text, "warning: {reason}");
    }
    text
}

/// Returns the end of a report: unusual conditions of the guest, and the command that shows the bug check again.
#[must_use]
pub fn again(conditions: Conditions, reproduce: &str) -> String {
    let under = if conditions.are_usual() { String::new() } else { format!("with {conditions}\n") };
    format!("{under}again: {reproduce}\n")
}

#[cfg(test)]
mod tests {
    use guest_protocol::Statistics;

    use super::*;

    #[test]
    fn finds_functions_and_lines_of_addresses_in_an_elf_file() {
        // This test's own image stands for the NT host: it is relocated, so its base is subtracted first.
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let base = u64::from_str_radix(maps.split('-').next().unwrap(), 16).unwrap();
        // Of the test's crates this function's alone has debug information with names (Cargo.toml).
        let function = Statistics::since as *const () as u64;
        let frame = StackFrame { address: function - base + 2, module: Some(HOST_MODULE.into()), offset: 0 };
        let places = places(&[frame], None, Some(&std::env::current_exe().unwrap()));
        let function = &places.places[0].functions[0];
        assert!(function.name.contains("since"), "{function:?}");
        assert!(function.line.as_ref().unwrap().contains("statistics.rs:"), "{function:?}");
    }

    #[test]
    fn ends_a_report_with_the_seed_and_the_command() {
        let delayed = Conditions { processors: 2, seed: Some(0x1f), ..Conditions::default() };
        let command = "cargo dmus demo --processors 2 --seed 1f";
        assert_eq!(again(delayed, command), format!("with 2 processors, delays from seed 1f\nagain: {command}\n"));
        assert_eq!(again(Conditions::default(), "cargo dmus demo"), "again: cargo dmus demo\n");
    }

    #[test]
    fn reports_code_rule_and_offset_without_symbols() {
        let frame = StackFrame { address: 0x1234, module: Some("x.sys".into()), offset: 0x34 };
        let bug_check = BugCheck {
            code: 0xc4,
            name: "DRIVER_VERIFIER_DETECTED_VIOLATION".into(),
            parameters: [0x71001, 2, 0, 0],
            rule: Some(17),
            waited_ms: 0,
            message: "PcAddAdapterDevice called at DISPATCH_LEVEL; call it at PASSIVE_LEVEL".into(),
            function: "PcAddAdapterDevice".into(),
            irql: 2,
            stack: vec![frame.clone()],
        };
        let text = report(&bug_check, &places(&[frame], None, None));
        for part in ["0x000000c4", "0x71001", "rule 17", "IRQL 2", "x.sys+0x34"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
