//! The options about debuggers.

use clap::Args;
use dmus::debugger::{BreakAt, BreakOn, Debugging};
use dmus::machine::Accelerator;
use dmus::machine::stub::{StubSocket, Teller};
use dmus::provision::{Workspace, lldb_here, toolchain_source};
use dmus::report::error_line;
use dmus::testbed::violations::RuleList;

use super::error::{Error, UsageError};

/// The heading of these options in `--help`.
const HEADING: &str = "Debuggers (harness/DEBUGGING.md)";

/// Options about debuggers.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct DebuggerArguments {
    /// Have the guest wait for a debugger before its first instruction, and print the commands by which lldb, gdb and VS Code
    /// attach and stop in DriverEntry. SOCKET is the path of QEMU's stub, or a TCP port of 127.0.0.1; without, a path of this run.
    /// While the guest is stopped, time limits wait
    #[arg(long, help_heading = HEADING, value_name = "SOCKET", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    gdb: Option<String>,
    /// Stop at a line of the driver's instead of in DriverEntry; may be given several times
    #[arg(long, help_heading = HEADING, value_name = "FILE:LINE", requires = "gdb")]
    break_at: Vec<BreakAt>,
    /// Stop where this rule or check is violated (images/nt-host/CONTRACT.md), or at any violation and bug check. Without --gdb the
    /// guest pauses there, and a debugger can attach
    #[arg(long, help_heading = HEADING, value_name = "RULE|any", value_parser = read_break_on)]
    break_on: Option<BreakOn>,
    /// Debug a dmuscard.sys with full debug information, locals included, which is built beside the one that ships (needs a checkout)
    #[arg(long, help_heading = HEADING, conflicts_with = "driver")]
    pub(super) full_debug_info: bool,
}

/// Reads a rule that the NT host has, or `any`.
fn read_break_on(text: &str) -> Result<BreakOn, String> {
    let list = RuleList::nt_host();
    match text.trim().parse() {
        Ok(number) => list.expect(number).map(BreakOn::Rule).map_err(|error| error.to_string()),
        Err(_) if text == "any" => Ok(BreakOn::Any),
        Err(_) => Err(match list.nearest_title(text) {
            Some((number, title)) => {
                format!("`{text}` is no number of a rule, and not `any`; the nearest rule is {number} ({title})")
            }
            None => format!("`{text}` is no number of a rule, and not `any`"),
        }),
    }
}

impl DebuggerArguments {
    /// Returns whether a debugger is to stop the guest, or the guest itself.
    pub(super) const fn is_given(&self) -> bool {
        self.gdb.is_some() || self.break_on.is_some()
    }

    /// Refuses what cannot be debugged: more guests than one.
    ///
    /// # Errors
    /// [`Error::Usage`] with the number of tests.
    pub(super) fn expect_one(&self, tests: usize) -> Result<(), Error> {
        if self.is_given() && tests != 1 {
            let text = format!(
                "--gdb and --break-on stop one test, and {tests} are chosen: name one scenario, and one case of it with --filter"
            );
            return Err(UsageError(text).into());
        }
        Ok(())
    }

    /// Returns the accelerator: breakpoints are set before the guest has page tables, which only the translator takes.
    ///
    /// # Errors
    /// [`Error::Usage`] where the user wants the host's processor.
    pub(super) fn accelerator(&self, wanted: Option<Accelerator>) -> Result<Option<Accelerator>, Error> {
        match wanted {
            Some(Accelerator::Kvm) if self.gdb.is_some() => {
                let text =
                    "--gdb needs --accel tcg: under KVM no breakpoint can be set before the guest has page tables";
                Err(UsageError(text.into()).into())
            }
            None if self.gdb.is_some() => Ok(Some(Accelerator::Tcg)),
            wanted => Ok(wanted),
        }
    }

    /// Returns what is wanted of a debugger, if one is; a socket that cannot be used is found before anything is built.
    ///
    /// # Errors
    /// [`Error::TestBed`] for the socket.
    pub(super) fn debugging(&self, workspace: &Workspace) -> Result<Option<Debugging>, Error> {
        if !self.is_given() {
            return Ok(None);
        }
        let socket = self.gdb.as_deref().filter(|text| !text.is_empty()).map(StubSocket::named);
        if let Some(socket) = &socket {
            socket.check()?;
        }
        let checkout = workspace.bundle.is_none();
        Ok(Some(Debugging {
            attach: self.gdb.is_some(),
            socket,
            break_at: self.break_at.clone(),
            break_on: self.break_on,
            root: checkout.then(|| workspace.root.clone()),
            library: if checkout { toolchain_source() } else { None },
            lldb: lldb_here(workspace),
            teller: Teller::new(error_line),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_rule_or_names_the_nearest() {
        assert_eq!(read_break_on("39"), Ok(BreakOn::Rule(39)));
        assert_eq!(read_break_on("any"), Ok(BreakOn::Any));
        let error = read_break_on("84").unwrap_err();
        assert!(error.contains("there is no rule 84") && error.contains("the nearest is 83"), "{error}");
        let error = read_break_on("irql").unwrap_err();
        assert!(error.contains("the nearest rule is "), "{error}");
        assert_eq!(read_break_on("zzzzzz").unwrap_err(), "`zzzzzz` is no number of a rule, and not `any`");
    }

    #[test]
    fn debugs_one_test_at_a_time() {
        let one = DebuggerArguments { gdb: Some(String::new()), ..DebuggerArguments::default() };
        one.expect_one(1).unwrap();
        assert!(one.expect_one(3).unwrap_err().to_string().contains("3 are chosen"));
        DebuggerArguments::default().expect_one(3).unwrap();
    }

    #[test]
    fn debugs_under_the_translator_only() {
        let gdb = DebuggerArguments { gdb: Some(String::new()), ..DebuggerArguments::default() };
        assert_eq!(gdb.accelerator(None).unwrap(), Some(Accelerator::Tcg));
        assert!(gdb.accelerator(Some(Accelerator::Kvm)).unwrap_err().to_string().contains("--accel tcg"));
        assert_eq!(DebuggerArguments::default().accelerator(None).unwrap(), None);
    }
}
