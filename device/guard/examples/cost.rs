//! Measures what the guard costs: a read of the configuration, and a request from kick to interrupt, of a bare back-end,
//! relayed, and from a snapshot, in turns in one run.
//!
//!     cargo run --release -p vhost-user-guard --example cost

#[path = "../tests/common/mod.rs"]
mod common;

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::front_end::FrontEnd;
use common::{Guarded, PATIENCE, serve_echo};
use vhost_user_guard::ConfigSnapshot;

/// Reads and requests of each kind.
const ROUNDS: usize = 20_000;
/// Those at the beginning that are not counted.
const WARM_UP: usize = 1_000;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let bare = folder.path().join("bare");
    serve_echo(UnixListener::bind(&bare).unwrap());
    let relayed = Guarded::echo();
    let snapshot = Arc::new(ConfigSnapshot::new(&[1; 64]));
    let published = Guarded::start(|builder| builder.config_snapshot(snapshot));
    published.listen_echo();

    let mut kinds = [
        ("bare framework", FrontEnd::connect(&bare)),
        ("guard, relayed", FrontEnd::connect(&relayed.socket())),
        ("guard, snapshot", FrontEnd::connect(&published.socket())),
    ];
    for (_, front_end) in &mut kinds {
        front_end.introduce().unwrap();
        front_end.start().unwrap();
    }
    for (what, act) in [("GET_CONFIG, 64 bytes", read as fn(&mut FrontEnd)), ("kick to interrupt", request)] {
        let mut times = [const { Vec::new() }; 3];
        for round in 0..ROUNDS {
            for ((_, front_end), times) in kinds.iter_mut().zip(&mut times) {
                let begin = Instant::now();
                act(front_end);
                if round >= WARM_UP {
                    times.push(begin.elapsed());
                }
            }
        }
        let mut bare = None;
        for ((kind, _), times) in kinds.iter().zip(&mut times) {
            times.sort_unstable();
            let [p50, p99] = [times[times.len() / 2], times[times.len() * 99 / 100]];
            let ratio = p50.as_secs_f64() / bare.get_or_insert(p50).as_secs_f64();
            println!("{what:<22} {kind:<16} p50 {:>8} p99 {:>8}  {ratio:.2} of bare", micro(p50), micro(p99));
        }
    }
}

fn read(front_end: &mut FrontEnd) {
    assert_eq!(front_end.config(64).unwrap().len(), 64);
}

fn request(front_end: &mut FrontEnd) {
    assert!(front_end.echoes(0, PATIENCE));
}

fn micro(time: Duration) -> String {
    format!("{:.1} us", time.as_secs_f64() * 1e6)
}
