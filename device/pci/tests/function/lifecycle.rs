//! The life of a server: clients that come and go, time, the end.

use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use crate::common::client::{CONFIG, Raw};
use crate::common::{Bench, Call, description, long_path, until};
use crate::wire;
use vfio_user_card::{
    Bar, Description, DescriptionError, Msix, Reset, ServeError, Server, SocketError, Sockets, VECTORS_MAX, Widths,
};

fn bind(path: &std::path::Path) -> Result<Server, ServeError> {
    Server::bind(description(), &Sockets { socket: path.to_path_buf(), control: None })
}

#[test]
fn a_client_that_comes_back_finds_the_function_as_after_power_on() {
    let bench = Bench::new();
    let fresh = bench.client().read(CONFIG, 0, 256).unwrap();
    for round in 1..=3 {
        let mut client = bench.client();
        assert_eq!(client.read(CONFIG, 0, 256).unwrap(), fresh, "round {round}");
        client.command(7);
        bench.handle.set_line(true);
        drop(client);
    }
    until("the last client's end is seen", || (bench.control().status()["counters"]["resets"] == 4).then_some(()));
    assert_eq!(bench.calls(), vec![Call::Reset(Reset::Disconnected); 4]);
    assert_eq!(bench.control().status()["counters"]["connections"], 4);
}

#[test]
fn a_second_client_is_turned_away_and_the_first_stays() {
    let bench = Bench::new();
    let mut first = bench.client();
    let mut second = Raw::connect(&bench.socket());
    assert!(second.reply().is_none());
    assert_eq!(first.config(0, 2), 0x4242);
    drop(first);
    until("the place is free", || bench.calls().contains(&Call::Reset(Reset::Disconnected)).then_some(()));
    assert_eq!(bench.client().config(0, 2), 0x4242);
}

#[test]
fn a_card_is_called_when_it_is_due_and_when_it_is_woken() {
    let bench = Bench::new();
    until("it is called at the start", || (bench.ticks() == 1).then_some(()));
    bench.tick_after(Duration::from_millis(5));
    bench.handle.wake();
    until("it is called when woken, and when due", || (bench.ticks() == 3).then_some(()));
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(bench.ticks(), 3, "it has said that it is not due again");
}

#[test]
fn a_stop_ends_the_server_and_removes_its_sockets() {
    let bench = Bench::new();
    let (_client, _control) = (bench.client(), bench.control());
    let folder = bench.folder.path().to_path_buf();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
    // The folder is removed when the bench is dropped; the sockets before.
    bench.stop.request();
    until("both sockets are gone", || (std::fs::read_dir(&folder).unwrap().count() == 0).then_some(()));
    assert!(bench.end().unwrap().is_ok());
}

#[test]
fn a_card_that_panics_ends_the_server_with_its_panic() {
    let bench = Bench::with(description(), Some("read"));
    let mut client = bench.client();
    client.command(3);
    client.send(crate::common::client::REGION_READ, &wire!(0u64, 1u32, 4u32), 0, &[]);
    assert!(client.reply().is_none());
    assert!(bench.ended().is_err(), "on the thread that serves");

    let bench = Bench::with(description(), Some("tick"));
    assert!(bench.ended().is_err(), "on the clock's thread");

    let bench = Bench::with(description(), Some("fault"));
    let mut control = bench.control();
    control.send(b"{\"cmd\":\"inject-fault\",\"fault\":{\"kind\":\"late\"}}\n");
    assert_eq!(control.answer(), None);
    assert!(bench.ended().is_err(), "on a client's thread");
}

#[test]
fn a_socket_of_a_dead_process_is_taken_over_and_a_live_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = bind(&path).unwrap();
    let listed = std::fs::read_to_string("/proc/net/unix").unwrap();
    assert!(listed.contains(path.to_str().unwrap()), "a process that waits for it finds it under its path");
    assert!(matches!(bind(&path), Err(ServeError::Socket(SocketError::InUse(_)))));
    UnixStream::connect(&path).unwrap();
    drop(server);
    assert!(!path.exists());
    std::fs::write(&path, "text").unwrap();
    assert!(matches!(bind(&path), Err(ServeError::Socket(SocketError::NoSocket(_)))));
    assert!(matches!(bind(&folder.path().join("none/socket")), Err(ServeError::Socket(SocketError::Host { .. }))));
    assert!(matches!(bind("..".as_ref()), Err(ServeError::Socket(SocketError::NoName(_)))));
}

#[test]
fn a_socket_of_another_process_is_not_removed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    drop(server);
    assert!(path.exists());
}

#[test]
fn a_path_longer_than_a_sockets_address_works() {
    let folder = tempfile::tempdir().unwrap();
    let path = long_path(folder.path());
    assert!(path.as_os_str().len() > 108);
    let server = bind(&path).unwrap();
    assert!(path.exists());
    drop(server);
    assert!(!path.exists());
}

#[test]
fn both_command_lines_name_the_sockets() {
    let both = Sockets { socket: "s".into(), control: Some("c".into()) };
    for line in ["card s c", "card --socket s --control c", "card s --control c"] {
        assert_eq!(Sockets::from_arguments(line.split(' ')).unwrap(), both, "{line}");
    }
    let one = Sockets { socket: "s".into(), control: None };
    assert_eq!(Sockets::from_arguments(["card", "s"]).unwrap(), one);
    assert_eq!(Sockets::from_arguments(["card", "--socket", "s"]).unwrap(), one);
    for line in ["card", "card --control c", "card s c d", "card s --socket t", "card s c --control d", "card s --fast"]
    {
        assert!(Sockets::from_arguments(line.split(' ')).is_err(), "{line}");
    }
}

#[test]
fn a_description_that_cannot_be_is_refused_with_its_reason() {
    use DescriptionError::{BarSize, CapabilitiesTooLong, NoPlaceForUpperHalf, NoSuchBar, RuleOutside};
    let refused = |change: &dyn Fn(Description) -> Description| {
        let folder = tempfile::tempdir().unwrap();
        let sockets = Sockets { socket: folder.path().join("socket"), control: None };
        match Server::bind(change(Description::new("wrong", 1, 2)), &sockets) {
            Err(ServeError::Description(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    for bar in [Bar::io(2), Bar::io(24), Bar::io(512), Bar::memory(8), Bar::memory(1 << 32), Bar::memory_64(1 << 41)] {
        assert!(matches!(refused(&|card| card.bar(1, bar.clone())), BarSize { index: 1, .. }), "{bar:?}");
    }
    assert_eq!(refused(&|card| card.bar(6, Bar::io(4))), NoSuchBar(6));
    assert_eq!(refused(&|card| card.bar(5, Bar::memory_64(16))), NoPlaceForUpperHalf(5));
    let taken = |card: Description| card.bar(2, Bar::memory_64(16)).bar(3, Bar::io(4));
    assert_eq!(refused(&taken), NoPlaceForUpperHalf(2));
    for range in [0..17, 4..4] {
        let rule = Bar::io(16).allow(range.clone(), Widths::BYTE);
        assert_eq!(refused(&|card| card.bar(0, rule.clone())), RuleOutside { index: 0, range });
    }
    let long = vec![0; 200];
    assert!(matches!(refused(&|card| card.vendor_capability(&long, &[])), CapabilitiesTooLong { .. }));
    let good = Msix { vectors: 64, bar: 1, table: 0, pending: 1024 };
    for msix in [
        Msix { vectors: 0, ..good },
        Msix { vectors: VECTORS_MAX + 1, ..good },
        Msix { bar: 0, ..good },
        Msix { bar: 2, ..good },
        Msix { bar: 9, ..good },
        Msix { table: 4, ..good },
        Msix { pending: 1028, ..good },
        Msix { pending: 1016, ..good },
        Msix { table: 4096 - 1016, ..good },
        Msix { pending: 4096, ..good },
        Msix { pending: u64::MAX - 7, ..good },
    ] {
        let wrong = |card: Description| card.bar(0, Bar::io(4)).bar(1, Bar::memory(4096)).msix(msix);
        assert!(matches!(refused(&wrong), DescriptionError::Msix { .. }), "{msix:?}");
    }
}
