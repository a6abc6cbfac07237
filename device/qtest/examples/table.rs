//! Prints the table: `cargo run -p card-qtest --example table -- CARD QEMU FOLDER [FILTER [TRANSPORT]]`. A folder for each machine is
//! made in `FOLDER`.

use std::process::ExitCode;

use card_control::Transport;
use card_qtest::failure::Failure;
use card_qtest::faults;
use card_qtest::machine::Programs;
use card_qtest::suite::Suite;

/// Machines at a time.
const MACHINES: usize = 2;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [card, qemu, folder, filter @ ..] = words.as_slice() else {
        eprintln!("usage: table CARD QEMU FOLDER [FILTER [vfio-user]]");
        return ExitCode::from(2);
    };
    let absolute =
        |path: &String| std::path::absolute(path).map_err(|source| Failure::Host { what: path.clone(), source });
    let run = || {
        let vfio_user = filter.get(1).is_some_and(|name| name == Transport::VfioUser.name());
        let programs = Programs {
            card: absolute(card)?,
            transport: if vfio_user { Transport::VfioUser } else { Transport::VhostUser },
            qemu: absolute(qemu)?,
            folder: absolute(folder)?,
        };
        Suite {
            programs: &programs,
            machines: MACHINES,
            filter: filter.first().map(String::as_str),
            interrupted: &|| false,
            observer: &|row| {
                if !row.as_expected {
                    eprintln!("{row}");
                }
            },
        }
        .run(faults::over(programs.transport))
    };
    match run() {
        Ok(table) => {
            println!("{}", table.text());
            if table.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
