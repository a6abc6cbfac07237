//! A hostile front-end, against a back-end of the framework: bare, and behind the guard.
//!
//! Each act names what becomes of the bare back-end, so that a framework that has learned to bear it is noticed.

#[path = "common/acts.rs"]
mod acts;
mod common;

use std::os::unix::net::UnixListener;
use std::time::Duration;

use acts::{ACTS, Act, Bare};
use common::front_end::{FrontEnd, config_body};
use common::{Guarded, PATIENCE, serve_echo};
use vhost::vhost_user::message::FrontendReq;
use vhost_user_guard::{Fault, Field, Finding};

/// How long a bare back-end gets to complete a request before it counts as mute.
const MUTE: Duration = Duration::from_millis(400);

/// Acts, and returns what has become of the other side: whether it still answers, and whether rings that are set up anew work.
fn outcome(front_end: &mut FrontEnd, act: &Act, time: Duration) -> Bare {
    front_end.introduce().unwrap();
    front_end.start().unwrap();
    assert!(front_end.echoes(0, PATIENCE) && front_end.echoes(1, PATIENCE), "{}: before", act.name);
    (act.act)(front_end);
    // Answers to what was said come first; that to a range of its own is the last.
    front_end.send(FrontendReq::GET_CONFIG, 0, &config_body(3, 7, 0, &[0; 7]), &[]);
    loop {
        match front_end.receive() {
            Ok(reply) if reply.code == u32::from(FrontendReq::GET_CONFIG) && reply.body[..4] == 3_u32.to_ne_bytes() => {
                break;
            }
            Ok(_) => {}
            Err(_) => return Bare::Ends,
        }
    }
    for _ in 0..3 {
        let works = front_end
            .stop()
            .and_then(|_| front_end.start())
            .map(|()| front_end.echoes(0, time) && front_end.echoes(1, time));
        match works {
            Ok(true) => return Bare::Lives,
            Ok(false) => {}
            Err(_) => return Bare::Ends,
        }
    }
    Bare::Mute
}

#[test]
fn a_bare_back_end_does_not_survive_what_it_survives_behind_the_guard() {
    let mut surprises = Vec::new();
    let mut table = String::new();
    for act in ACTS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bare");
        serve_echo(UnixListener::bind(&path).unwrap());
        let bare = outcome(&mut FrontEnd::connect(&path), act, MUTE);

        let guarded = Guarded::echo();
        let mut front_end = FrontEnd::connect(&guarded.socket());
        let behind = outcome(&mut front_end, act, Duration::from_secs(3));
        let findings = guarded.take_findings();
        let found =
            |(field, fault): (Field, Fault)| findings.iter().any(|found| (found.field, found.fault) == (field, fault));
        let named = act.found.map_or_else(|| findings.iter().all(is_quiet), found);
        table += &format!("{:<42} bare: {bare:?}, guarded: {behind:?}\n", act.name);
        if bare != act.bare || behind != Bare::Lives || !named {
            surprises.push(format!(
                "{}: bare {bare:?} (expected {:?}), guarded {behind:?}, found {findings:?}",
                act.name, act.bare
            ));
        }
    }
    println!("{table}");
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

/// Returns whether a finding follows from another, such as that a ring waits for a reset.
fn is_quiet(finding: &Finding) -> bool {
    matches!(finding.fault, Fault::AwaitsReset | Fault::EndsBackend | Fault::NoMemory | Fault::Refused)
}
