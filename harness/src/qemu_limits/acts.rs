//! The limits, and what shows each.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use card_control::Transport;
use card_control::qemu::{CONFIG_BYTES, VFIO_USER_DEVICE, VIRTIO_ID, device_option};
use serde_json::json;

use super::back_end;
use super::error::LimitsError;
use super::machine::{Bare, Gone};
use crate::host::file_error::FileError;
use crate::host::leftovers::Scratch;
use crate::machine::{Card, CardOptions, CardSockets};
use crate::testbed::run_folder::RunFolder;

/// Something that QEMU asserts on or refuses.
pub(super) struct Limit {
    /// Its name.
    pub(super) name: &'static str,
    /// What is done.
    pub(super) what: &'static str,
    /// What comes of it.
    pub(super) expected: &'static str,
    /// What QEMU says, in its log.
    pub(super) words: &'static str,
    /// What can become simpler where it is no longer so.
    pub(super) then: &'static str,
    /// Shows it.
    pub(super) act: fn(&Surroundings<'_>) -> Result<Found, LimitsError>,
}

/// What came of an act.
pub(super) struct Found {
    /// QEMU's version; empty where it ended before it could tell.
    pub(super) version: String,
    /// How QEMU ended, or that it lives and what it shows.
    pub(super) outcome: String,
    /// What QEMU said.
    pub(super) said: String,
}

/// The device number that the card has on bus 0, and the place of its memory.
const SLOT: (u32, u32) = (0, 4);
const BAR: u64 = 0xe000_0000;

/// The registers of the virtio structures in QEMU's function (virtio 1.2, section 4.1.4.3).
const DRIVER_FEATURE_SELECT: u64 = BAR + 0x08;
const DRIVER_FEATURE: u64 = BAR + 0x0c;
const STATUS: u64 = BAR + 0x14;
const CONFIG: u64 = BAR + 0x2000;

/// The ports by which a guest of the machine `pc` lets a device be unplugged (QEMU, `docs/specs/acpi_pci_hotplug.rst`).
const EJECT_BUS: u32 = 0xae10;
const EJECT: u32 = 0xae08;

/// How long a lost connection takes to show.
const SHOWS: Duration = Duration::from_millis(300);

/// All of them.
pub(super) const ALL: &[Limit] = &[
    Limit {
        name: "vhost-user-lost-at-rest",
        what: "the back-end's socket closes before a driver has started the device",
        expected: "SIGABRT",
        words: "memory_region_del_eventfd",
        then: "the guard is no longer needed for a card that is killed before its driver starts",
        act: lost_at_rest,
    },
    Limit {
        name: "vhost-user-lost-while-running",
        what: "the back-end's socket closes while the device runs, and the configuration is read",
        expected: "SIGABRT",
        words: "vhost_dev_get_config",
        then: "the guard need not outlive a killed card: a driver can notice the loss without it",
        act: lost_while_running,
    },
    Limit {
        name: "vhost-user-config-of-257-bytes",
        what: "the configuration has 257 bytes, and is read",
        expected: "SIGABRT",
        words: "VHOST_USER_MAX_CONFIG_SIZE",
        then: "the identity block may grow beyond 256 bytes",
        act: config_of_257_bytes,
    },
    Limit {
        name: "vhost-user-config-change-at-rest",
        what: "the back-end reports a change of the configuration before a driver has started the device",
        expected: "SIGSEGV",
        words: "",
        then: "notices may come as changes of the configuration, and need no queue of their own",
        act: config_change_at_rest,
    },
    Limit {
        name: "vhost-user-unnamed-virtio-id",
        what: "the virtio id is 46, of which QEMU has no name",
        expected: "SIGABRT",
        words: "virtio_id_to_name",
        then: "the card may have an id of its own over vhost-user",
        act: unnamed_virtio_id,
    },
    Limit {
        name: "vhost-user-notify-by-port",
        what: "doorbells are put into a port BAR by modern-pio-notify=on",
        expected: "SIGABRT",
        words: "pci_register_bar",
        then: "kicks by port can be measured against kicks by memory",
        act: notify_by_port,
    },
    Limit {
        name: "vhost-user-reconnecting-socket",
        what: "the socket of the back-end is to reconnect by reconnect-ms=500",
        expected: "exit status 1",
        words: "vhost_backend_init failed",
        then: "QEMU can reconnect to another card by itself, without a guard",
        act: reconnecting_socket,
    },
    Limit {
        name: "vhost-user-status-query",
        what: "the monitor is asked for x-query-virtio-status",
        expected: "SIGABRT",
        words: "visit_start_struct",
        then: "the harness may ask the monitor for the state of the device",
        act: status_query,
    },
    Limit {
        name: "vfio-user-lost",
        what: "the server's socket closes, with no message of QEMU's unread",
        expected: "lives: reads all ones",
        words: "failed to read header",
        then: "nothing: a card that is lost is one that was pulled out",
        act: lost_over_vfio_user,
    },
    Limit {
        name: "vfio-user-lost-with-unread-messages",
        what: "the server's socket closes while messages of QEMU's are unread in it",
        expected: "SIGABRT",
        words: "error_setv: Assertion `*errp == NULL'",
        then: "a card that is killed at any instant over vfio-user ends no QEMU: test = \"card-kills\" can demand it",
        act: lost_with_unread_messages,
    },
    Limit {
        name: "vfio-user-unplugged",
        what: "the guest lets the function be unplugged, its server alive",
        expected: "SIGABRT",
        words: "memory_region_del_subregion",
        then: "a card can be unplugged, and plugged again in its own place",
        act: |around| unplugged(around, false),
    },
    Limit {
        name: "vfio-user-unplugged-after-its-loss",
        what: "the guest lets the function be unplugged, its server dead",
        expected: "SIGABRT",
        words: "memory_region_del_subregion",
        then: "a dead card can be taken out of a running QEMU, and replaced in its own place",
        act: |around| unplugged(around, true),
    },
    Limit {
        name: "vfio-user-plugged-beside-the-lost",
        what: "a new server listens at the dead one's socket, and is plugged into another slot",
        expected: "lives: the new card answers",
        words: "failed to read header",
        then: "nothing: a new card can be plugged beside a dead one",
        act: plugged_beside_the_lost,
    },
];

/// What an act has.
pub(super) struct Surroundings<'a> {
    qemu: &'a Path,
    card: &'a Path,
    sockets: CardSockets,
    log: PathBuf,
    card_log: PathBuf,
    /// Holds the sockets.
    _scratch: Scratch,
}

impl<'a> Surroundings<'a> {
    /// Makes a place for sockets, and names the logs after the limit.
    pub(super) fn new(qemu: &'a Path, card: &'a Path, folder: &RunFolder, name: &str) -> Result<Self, LimitsError> {
        let scratch = Scratch::for_sockets()?;
        let sockets = CardSockets::in_folder(scratch.path());
        let (log, card_log) = (folder.file(&format!("qemu-{name}.log")), folder.file(&format!("card-{name}.log")));
        Ok(Self { qemu, card, sockets, log, card_log, _scratch: scratch })
    }

    fn card(&self, transport: Transport) -> Result<Card, LimitsError> {
        let options = CardOptions { transport, ..CardOptions::default() };
        Ok(Card::start(self.card, &options, &self.sockets, &self.card_log)?)
    }

    /// Another card at the same socket.
    fn another_card(&self, transport: Transport) -> Result<Card, LimitsError> {
        for path in [&self.sockets.machine, &self.sockets.control] {
            // The dead card's.
            let _ = std::fs::remove_file(path);
        }
        self.card(transport)
    }

    fn start(&self, machine: &str, options: &[String]) -> Result<Bare, LimitsError> {
        Bare::start(self.qemu, machine, options, &self.log)
    }

    /// Starts QEMU with a function over vhost-user.
    fn vhost_user(&self, socket_options: &str, device: &str) -> Result<Bare, LimitsError> {
        let socket = format!("socket,id=card,path={}{socket_options}", self.sockets.machine.display());
        let device = format!("{device},addr={}", SLOT.1);
        self.start("q35", &["-chardev".into(), socket, "-device".into(), device])
    }

    fn vfio_user_option(&self, bus: &str) -> String {
        let socket = json!({ "type": "unix", "path": self.sockets.machine });
        let mut option = json!({ "driver": VFIO_USER_DEVICE, "id": "card", "bus": bus, "socket": socket });
        if !bus.starts_with("port") {
            option["addr"] = SLOT.1.to_string().into();
        }
        option.to_string()
    }

    /// Starts QEMU with a function over vfio-user on the machine's own bus.
    fn vfio_user(&self, machine: &str, bus: &str) -> Result<Bare, LimitsError> {
        self.start(machine, &["-device".into(), self.vfio_user_option(bus)])
    }
}

/// Carries on with QEMU until it ends or the act is done. Returns what came of it; `shown` is what a living QEMU shows.
fn conclude(mut bare: Bare, act: impl FnOnce(&mut Bare) -> Result<&'static str, Gone>) -> Found {
    let shown = act(&mut bare).unwrap_or("ended its connection");
    let outcome = bare.ended().map_or_else(|| format!("lives: {shown}"), |ended| ended.to_string());
    Found { version: bare.version.clone(), outcome, said: bare.said() }
}

/// Gives the function's registers a place.
fn place(bare: &mut Bare, bar: u32) -> Result<(), Gone> {
    bare.set_config(SLOT, 0x10 + 4 * bar, BAR as u32)?;
    if bar == 2 {
        bare.set_config(SLOT, 0x14 + 4 * bar, 0)?;
    }
    bare.set_config(SLOT, 4, 7)
}

fn lost_at_rest(around: &Surroundings<'_>) -> Result<Found, LimitsError> {
    let mut card = around.card(Transport::VhostUser)?;
    let bare = around.vhost_user("", &device_option("card"))?;
    Ok(conclude(bare, |bare| {
        card.kill();
        std::thread::sleep(SHOWS);
        bare.config(SLOT, 0).map(|_| "goes on")
    }))
}

fn lost_while_running(around: &Surroundings<'_>) -> Result<Found, LimitsError> {
    let mut card = around.card(Transport::VhostUser)?;
    let bare = around.vhost_user("", &device_option("card"))?;
    Ok(conclude(bare, |bare| {
        place(bare, 2)?;
        for status in [1, 3] {
            bare.write_byte(STATUS, status)?;
        }
        bare.write(DRIVER_FEATURE_SELECT, 1)?;
        bare.write(DRIVER_FEATURE, 1)?;
        for status in [0xb, 0xf] {
            bare.write_byte(STATUS, status)?;
        }
        card.kill();
        std::thread::sleep(SHOWS);
        bare.read(CONFIG).map(|_| "reads the configuration")
    }))
}

fn config_of_257_bytes(around: &Surroundings<'_>) -> Result<Found, LimitsError> {
    let _card = around.card(Transport::VhostUser)?;
    let large = device_option("card").replace(&format!("config_size={CONFIG_BYTES}"), "config_size=257");
    let bare = around.vhost_user("", &large)?;
    Ok(conclude(bare, |bare| {
        place(bare, 2)?;
        bare.read(CONFIG).map(|_| "reads the configuration")
    }))
}

fn config_change_at_rest(around: &Surroundings<'_>) -> Result<Found, LimitsError> {
    let path = &around.sockets.machine;
    let listener = UnixListener::bind(path).map_err(FileError::own("listen on", path))?;
    let thread = std::thread::spawn(move || back_end::serve(&listener));
    let bare = around.vhost_user("", &device_option("card"))?;
    let found = conclude(bare, |bare| {
        std::thread::sleep(SHOWS);
        bare.config(SLOT, 0).map(|_| "takes the change")
    });
    // It ends with QEMU, which has ended with `found`. Its error is that end.
    let _ = thread.join();
    Ok(found)
}

fn unnamed_virtio_id(around: &Surroundings<'_>) -> Result<Found, LimitsError> {
    let _card = around.card(Transport::VhostUser)?;
    let unnamed = device_option("card").replace(&format!("virtio-id={VIRTIO_ID}"), "virtio-id=46");
    Ok(conclude(around.vhost_user("", &unnamed)?, |bare| bare.config(SLOT, 0).map(|_| "has the function")))
}

fn notify_by_port(around: &Surroundings<'_>) -> Result<Found, LimitsError> {
    let _card = around.card(Transport::VhostUser)?;
    let option = format!("{},modern-pio-notify=on", device_option("card"));
    Ok(conclude(around.vhost_user("", &option)?, |bare| bare.config(SLOT, 0).map(|_| "has the function")))
}

fn reconnecting_socket(around: &Surroundings<'_>) -> Result<Found, LimitsError> {
    let _card = around.card(Transport::VhostUser)?;
    let bare = around.vhost_user(",reconnect-ms=500", &device_option("card"))?;
    Ok(conclude(bare, |bare| bare.config(SLOT, 0).map(|_| "has the function")))
}

fn status_query(around: &Surroundings<'_>) -> Result<Found, LimitsError> {
    let _card = around.card(Transport::VhostUser)?;
    let bare = around.vhost_user("", &device_option("card"))?;
    Ok(conclude(bare, |bare| {
        let devices = bare.qmp("x-query-virtio", json!({}))?;
        let path = devices["return"][0]["path"].clone();
        bare.qmp("x-query-virtio-status", json!({ "path": path })).map(|_| "answers")
    }))
}

fn lost_over_vfio_user(around: &Surroundings<'_>) -> Result<Found, LimitsError> {
    let mut card = around.card(Transport::VfioUser)?;
    let bare = around.vfio_user("q35", "pcie.0")?;
    Ok(conclude(bare, |bare| {
        place(bare, 0)?;
        card.kill();
        std::thread::sleep(SHOWS);
        let ones = bare.config(SLOT, 0)? == u32::MAX && bare.read(BAR)? == u32::MAX;
        Ok(if ones { "reads all ones" } else { "reads something" })
    }))
}

fn lost_with_unread_messages(around: &Surroundings<'_>) -> Result<Found, LimitsError> {
    let mut card = around.card(Transport::VfioUser)?;
    let bare = around.vfio_user("q35", "pcie.0")?;
    Ok(conclude(bare, |bare| {
        place(bare, 0)?;
        bare.read(BAR)?;
        card.freeze(true);
        // QEMU does not wait for an answer to a write.
        bare.write(DRIVER_FEATURE_SELECT, 1)?;
        card.kill();
        std::thread::sleep(SHOWS);
        bare.config(SLOT, 0).map(|_| "goes on")
    }))
}

fn unplugged(around: &Surroundings<'_>, dead: bool) -> Result<Found, LimitsError> {
    let mut card = around.card(Transport::VfioUser)?;
    let bare = around.vfio_user("pc", "pci.0")?;
    Ok(conclude(bare, |bare| {
        if dead {
            card.kill();
            std::thread::sleep(SHOWS);
        }
        bare.qmp("device_del", json!({ "id": "card" }))?;
        bare.out(EJECT_BUS, 0)?;
        bare.out(EJECT, 1 << SLOT.1)?;
        bare.config(SLOT, 0).map(|_| "has unplugged it")
    }))
}

fn plugged_beside_the_lost(around: &Surroundings<'_>) -> Result<Found, LimitsError> {
    /// The second root port on bus 0, and the bus behind it.
    const PORT: (u32, u32) = (0, 6);
    const BEHIND: (u32, u32) = (2, 0);
    let mut card = around.card(Transport::VfioUser)?;
    let port = |number: u32| format!("pcie-root-port,id=port{number},addr={},chassis={number}", 4 + number);
    let options: Vec<String> = [port(1), port(2), around.vfio_user_option("port1")]
        .into_iter()
        .flat_map(|device| ["-device".to_owned(), device])
        .collect();
    let bare = around.start("q35", &options)?;
    card.kill();
    std::thread::sleep(SHOWS);
    let _second = around.another_card(Transport::VfioUser)?;
    Ok(conclude(bare, |bare| {
        let socket = json!({ "type": "unix", "path": around.sockets.machine });
        let device = json!({ "driver": VFIO_USER_DEVICE, "id": "second", "bus": "port2", "socket": socket });
        let answer = bare.qmp("device_add", device)?;
        if answer.get("error").is_some() {
            return Ok("refuses the new card");
        }
        // The bus behind the port is bus 2.
        bare.set_config(PORT, 0x18, 0x02_02_00)?;
        let answers = bare.config(BEHIND, 0)? & 0xffff == 0x1af4;
        Ok(if answers { "the new card answers" } else { "the new card does not answer" })
    }))
}

#[cfg(test)]
mod tests {
    use card_control::qemu::{DEVICE, QUEUES, RING_SIZE};

    use super::*;

    #[test]
    fn the_options_that_acts_change_are_those_of_the_card() {
        let option = device_option("card");
        for part in [format!("config_size={CONFIG_BYTES}"), format!("virtio-id={VIRTIO_ID}")] {
            assert!(option.contains(&part), "{option}: {part}");
        }
        assert!(option.starts_with(DEVICE) && option.contains(&format!("num_vqs={QUEUES},vq_size={RING_SIZE}")));
    }
}
