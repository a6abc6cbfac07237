//! The target `messages`: a vfio-user client that says anything.
//!
//! | verb | does |
//! |---|---|
//! | 0 | sends command `which` with `data`; `number` has the flag for no reply (bit 0), whether `wide` is the length that the header says (bit 1), and two descriptors (bytes 2 and 3) |
//! | 1 | sends `data` without a header |
//! | 2 | the card acts: triggers vector `number`, moves its line, copies memory at `wide`, or writes its mapped pages |
//! | 3 | cuts the memory file `which` to `number` bytes, or makes it long again |
//! | 4 | reads the replies that are there |
//! | 5 | disconnects, and connects anew |

use std::os::fd::BorrowedFd;
use std::sync::OnceLock;

use super::client::{Client, Descriptors, FILE_BYTES};
use super::record::{Act, acts};
use super::server::{IDENTITY, Running, running};

/// The most messages of an input: an input is to take milliseconds.
const ACTS_MAX: usize = 200;

/// Descriptors that may be open besides those before the first input: of a connection that is just ending.
const DESCRIPTORS_SPARE: usize = 16;

/// Descriptors that were open before the first input, so that one that each input leaves open is found.
static BEFORE: OnceLock<usize> = OnceLock::new();

/// Executes an input, and checks that the server has come through it.
///
/// # Panics
/// When it has not: that is what the fuzzer looks for.
pub fn drive(input: &[u8]) {
    let running = running();
    check(running);
    let before = *BEFORE.get_or_init(open_descriptors);
    {
        let descriptors = Descriptors::new();
        let mut client = Client::connect(&running.socket);
        client.greet();
        for act in acts(input).take(ACTS_MAX) {
            client = execute(act, client, running, &descriptors);
        }
        client.finish();
    }
    check(running);
    let after = open_descriptors();
    assert!(after <= before + DESCRIPTORS_SPARE, "{after} descriptors are open, and {before} were before");
}

fn execute(act: Act<'_>, mut client: Client, running: &Running, descriptors: &Descriptors) -> Client {
    let Act { verb, which, number, wide, data } = act;
    match verb % 6 {
        0 => {
            let [options, _, first, second] = number.to_le_bytes();
            let fds: Vec<BorrowedFd<'_>> =
                [first, second].into_iter().filter_map(|byte| descriptors.get(byte)).collect();
            let flags = u32::from(options & 1) << 4;
            let bytes = (options & 2 != 0).then_some(wide as u32);
            client.send(which.into(), flags, data, bytes, &fds);
            client.drain();
        }
        1 => client.raw(data),
        2 => {
            let handle = &running.handle;
            handle.trigger(number as u16);
            handle.set_line(which & 1 != 0);
            let _ = handle.write_memory(wide, data);
            let _ = handle.read_memory(wide, &mut vec![0; data.len()]);
            if let Some(pages) = handle.mapped(usize::from(which)) {
                let _ = (pages.write(wide, data), pages.store(wide, number), pages.load(wide));
            }
        }
        3 => {
            let length = if number % 3 == 0 { FILE_BYTES } else { u64::from(number) % FILE_BYTES };
            descriptors.files[usize::from(which) % 2].set_len(length).expect("a length");
        }
        4 => client.drain(),
        _ => {
            client.finish();
            client = Client::connect(&running.socket);
            client.greet();
        }
    }
    client
}

/// Checks that the server serves a client, and that the function is as after power-on.
fn check(running: &Running) {
    let mut client = loop {
        let mut client = Client::connect(&running.socket);
        // The one before may not be gone yet.
        if client.greet() {
            break client;
        }
    };
    for (offset, bytes, expected) in [(0u64, 4u32, IDENTITY), (4, 2, 0)] {
        let mut payload = offset.to_ne_bytes().to_vec();
        payload.extend_from_slice(&7u32.to_ne_bytes());
        payload.extend_from_slice(&bytes.to_ne_bytes());
        client.send(9, 0, &payload, None, &[]);
        let mut value = client.reply().expect("the server answers").split_off(16);
        value.resize(4, 0);
        assert_eq!(value, expected.to_le_bytes(), "configuration space at {offset:#x}");
    }
    client.finish();
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("procfs").count()
}
