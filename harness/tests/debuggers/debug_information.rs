//! The driver with full debug information: locals in a debugger, and the image that ships is left as it is.

use std::fs;
use std::process::Command;
use std::sync::Mutex;

use dmus::event::{Event, Observer};
use dmus::provision::{Artefact, Overrides, Provisioner};

use crate::guest::{Guest, Wanted, checkout, lldb, run};
use crate::sessions::line_of;

/// The variable that has the driver built twice, which takes a minute.
const VARIABLE: &str = "DMUS_DEBUG_INFORMATION";

/// Keeps warnings.
#[derive(Default)]
struct Said(Mutex<Vec<String>>);

impl Observer for Said {
    fn event(&self, event: &Event) {
        if let Event::Warning { text } = event {
            self.0.lock().unwrap().push(text.clone());
        }
    }
}

#[test]
fn full_debug_information_shows_locals_and_leaves_the_image_that_ships() {
    const FILE: &str = "guest-driver/sys/src/adapter.rs";
    if std::env::var_os(VARIABLE).is_none() {
        println!("skipped: without {VARIABLE} the driver is not built a second time");
        return;
    }
    let Some(lldb) = lldb() else { return };
    let workspace = checkout();
    let said = Said::default();
    let driver = |full_debug_info| {
        let overrides = Overrides { full_debug_info, ..Overrides::default() };
        Provisioner::new(&workspace, overrides, &said).unwrap().resolve(Artefact::Driver).unwrap()
    };
    let shipped = driver(false);
    let before = fs::read(&shipped).unwrap();
    let full = driver(true);
    assert_ne!(shipped, full);
    assert!(fs::read(&shipped).unwrap() == before, "the image that ships is another one now");
    let differs = fs::read(&full).unwrap() != before;
    assert_eq!(said.0.lock().unwrap().iter().any(|text| text.contains("an image of its own")), differs);
    let size = |path: &std::path::Path| fs::metadata(path.with_extension("pdb")).unwrap().len();
    assert!(size(&full) > size(&shipped), "the PDB holds more");

    // Where the function begins: further down the optimizer keeps few variables.
    let place = format!("adapter.rs:{}", line_of(FILE, "PcAddAdapterDevice("));
    let mut guest = Guest::boot(&Wanted { driver: Some(&full), break_at: &[&place], ..Wanted::default() });
    let Some(folder) = guest.waits() else { return };
    let mut command = Command::new(lldb);
    command.arg("-b").arg("-s").arg(folder.join("session.lldb"));
    let said = run(command.args(["-o", "frame variable", "-o", "process detach"]));
    assert!(said.contains("physical_device = 0x"), "{said}");
    guest.end().unwrap_or_else(|error| panic!("{error}\n{said}"));
}
