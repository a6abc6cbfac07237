//! The card in a real QEMU: hostile and honest acts over real PCI, driven through QEMU's `qtest` protocol, without a
//! guest's code.
//!
//! Needs QEMU with `vhost-user-test-device-pci`. Its command comes from the environment variable `DMUS_QEMU`; where that
//! is not set the tests are reported as ignored, or fail if `DMUS_REQUIRE_QEMU` is `1`.

mod acts;
mod pci;
mod qtest;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let qemu = std::env::var("DMUS_QEMU").ok().filter(|command| !command.is_empty());
    let required = std::env::var("DMUS_REQUIRE_QEMU").is_ok_and(|value| value == "1");
    let missing = qemu.is_none();
    if missing && !required {
        eprintln!(
            "DMUS_QEMU is not set: the tests with QEMU are ignored (set it to QEMU's command, such as qemu-system-x86_64)"
        );
    }
    let trials = acts::ALL.iter().map(|(name, act)| {
        let qemu = qemu.clone();
        let run = move || match qemu {
            Some(qemu) => {
                act(&qemu);
                Ok(())
            }
            None => Err(Failed::from(
                "DMUS_REQUIRE_QEMU is 1, but DMUS_QEMU is not set; set it to QEMU's command, such as qemu-system-x86_64",
            )),
        };
        Trial::test(*name, run).with_ignored_flag(missing && !required)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
