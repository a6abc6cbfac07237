//! A published back-end of others: vhost-device-sound, which is built on an older `vhost-user-backend`.
//!
//! `cargo install vhost-device-sound --no-default-features --root target/stranger` provides it, in some minutes.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::front_end::{FrontEnd, NEED_REPLY, address_body, ring_body};
use common::{Guarded, PATIENCE};
use vhost::vhost_user::message::FrontendReq;
use vhost_user_guard::Fault;

struct Sound(Child);

impl Sound {
    fn start(socket: &Path) -> Self {
        let program = std::env::var_os("VHOST_DEVICE_SOUND").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/stranger/bin/vhost-device-sound"),
            PathBuf::from,
        );
        let _ = std::fs::remove_file(socket);
        let mut command = Command::new(program);
        command.arg("--socket").arg(socket).args(["--backend", "null"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        common::until("the sound device listens", || socket.exists().then_some(()));
        Self(child)
    }
}

impl Drop for Sound {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// VIRTIO_SND_R_PCM_INFO of the first stream, with room for the answer (OASIS VIRTIO 1.2, 5.14.6.6.2).
fn pcm_info() -> Vec<u8> {
    let mut request: Vec<u8> = [0x100_u32, 0, 1, 32].iter().flat_map(|word| word.to_le_bytes()).collect();
    request.resize(64, 0);
    request
}

fn works(front_end: &mut FrontEnd) -> bool {
    front_end.offer(0, &pcm_info());
    front_end.completed(0, PATIENCE)
}

/// Sets the first ring up with addresses that are not aligned.
fn misalign(front_end: &mut FrontEnd) {
    let mut parts = FrontEnd::addresses(0);
    parts[0] += 8;
    front_end.stop().unwrap();
    for (code, body) in [
        (FrontendReq::SET_VRING_NUM, ring_body(0, 64)),
        (FrontendReq::SET_VRING_BASE, ring_body(0, 0)),
        (FrontendReq::SET_VRING_ADDR, address_body(0, 0, parts)),
    ] {
        front_end.send(code, NEED_REPLY, &body, &[]);
        let _ = front_end.receive();
    }
    let _ = front_end.kick_and_call(0);
}

#[test]
fn vhost_device_sound_is_lost_bare_and_goes_on_behind_the_guard() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("bare");
    let _sound = Sound::start(&socket);
    let mut front_end = FrontEnd::connect(&socket);
    front_end.introduce().unwrap();
    front_end.start().unwrap();
    assert!(works(&mut front_end), "bare");
    misalign(&mut front_end);
    assert!(front_end.ask(FrontendReq::GET_FEATURES, &[]).is_err(), "it bears a ring that is not aligned");

    let guarded = Guarded::start(|builder| builder);
    let sound = Sound::start(&guarded.backend());
    let mut front_end = FrontEnd::connect(&guarded.socket());
    front_end.introduce().unwrap();
    front_end.start().unwrap();
    assert!(works(&mut front_end), "guarded");
    misalign(&mut front_end);
    assert!(guarded.take_findings().iter().any(|found| found.fault == Fault::Misaligned));
    front_end.stop().unwrap();
    front_end.start().unwrap();
    assert!(works(&mut front_end), "after the ring that is not aligned");
    assert_eq!(*guarded.changes.lock().unwrap(), ["Reached"]);

    drop(sound);
    guarded.wait_for_change("Lost", 1);
    let _next = Sound::start(&guarded.backend());
    guarded.wait_for_change("Reached", 2);
    front_end.stop().unwrap();
    front_end.start().unwrap();
    assert!(works(&mut front_end), "in its second life");
}
