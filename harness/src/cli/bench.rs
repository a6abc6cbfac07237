//! `dmus bench`: measurements.

use dmus::bench;
use dmus::event::{Event, Observer};
use dmus::host::failure::Class;
use dmus::report::{Terminal, error_line, out, out_json};

use super::args::BenchArguments;
use super::error::Outcome;
use super::setup::{provisioned, workspace_of};

/// Runs benchmarks and prints each measurement as soon as it is known.
///
/// # Errors
/// What keeps a benchmark from measuring.
pub(super) fn bench(arguments: &BenchArguments) -> Outcome {
    let wanted =
        |name: &str| arguments.name.as_deref().is_none_or(|part| name.contains(part) || part.starts_with(name));
    let chosen: Vec<_> = bench::ALL.iter().filter(|benchmark| wanted(benchmark.name)).collect();
    if chosen.is_empty() {
        error_line("there is no such benchmark; there are:");
        for benchmark in bench::ALL {
            error_line(&format!("  {}: {}", benchmark.name, benchmark.text));
        }
        return Ok(Some(Class::Usage));
    }
    let terminal = Terminal::new();
    let workspace = workspace_of(&arguments.machine, &terminal)?;
    let provision = || Ok(provisioned(&workspace, &arguments.machine, arguments.driver.as_deref(), &terminal)?);
    let policy = arguments.violations.policy();
    let context =
        bench::Context::new(&workspace, &terminal, arguments.quick, arguments.driver.is_none(), policy, &provision);
    for benchmark in chosen {
        terminal.event(&Event::TestBegun { name: format!("benchmark {}", benchmark.name) });
        benchmark.run(&context, &mut |measurement| {
            let part = arguments.name.as_deref();
            if part.is_some_and(|part| !benchmark.name.contains(part) && !measurement.name.contains(part)) {
                return;
            }
            if arguments.json {
                out_json(&measurement);
            } else {
                out(&measurement.to_string());
            }
        })?;
    }
    let findings = context.findings();
    findings.lines().iter().for_each(|line| error_line(line));
    Ok((!findings.violations.is_empty()).then_some(Class::GuestCrashed))
}
