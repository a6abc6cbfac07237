//! Conforming drivers: the card must find no error of theirs, or the rest of the table means nothing.

use std::fs::File;
use std::process::Command;

use card_control::event_list;
use card_spec::control::{RequestCode, Status};
use card_spec::feature;
use card_spec::limits::VOICES_MAX;
use card_spec::queue::Queue;
use serde_json::json;

use crate::driver::{Driver, DriverState, RENDER, SAMPLE_RATE};
use crate::failure::{Failure, Result, expect};
use crate::fault::{Expected, Fault, Rows};
use crate::ring::{Descriptor, DriverRing, flag};

/// The area of these rows.
pub(super) const AREA: &str = "conforming drivers";

/// Frames that are compared with the offline render.
const FRAMES: usize = 16_000;

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of(AREA);
    rows.add(
        "plays, and gets the frames that the offline renderer makes",
        DriverState::Playing,
        Expected::NOTHING,
        plays,
    );
    rows.add("stops the machine while it plays, and continues it", DriverState::Playing, Expected::NOTHING, |driver| {
        driver.send(RENDER, &[(0, 1, &[0x90, 60, 100])])?;
        let before = driver.record(1000)?;
        driver.machine.qemu.qmp("stop", &json!({}))?;
        driver.machine.identity()?;
        driver.machine.qemu.qmp("cont", &json!({}))?;
        let after = driver.record(1000)?;
        expect("the position after it", &(before.header.position.get() + 1000), &after.header.position.get())
    });
    for size in [2, 8, 64] {
        rows.add(format!("has rings of {size} entries"), DriverState::Reset, Expected::NOTHING, move |driver| {
            let ram = driver.machine.ram.clone();
            for queue in Queue::ALL {
                *driver.machine.ring(queue) = DriverRing::new(&ram, size)?;
            }
            driver.start()?;
            for _ in 0..20 {
                driver.open()?.ended(Status::OK)?;
            }
            Ok(())
        });
    }
    rows.add("accepts neither EVENT_IDX nor INDIRECT_DESC", DriverState::Reset, Expected::NOTHING, |driver| {
        let mut set_up = driver.machine.set_up();
        set_up.features = feature::VERSION_1;
        driver.machine.start_as(&set_up)?;
        driver.open()?.ended(Status::OK)?;
        driver.play()?;
        driver.record(64).map(|_| ())
    });
    rows.add("sends a request in an indirect table", DriverState::Open, Expected::NOTHING, |driver| {
        let request = driver.request_bytes(RequestCode::LATENCY, &[]);
        let request = (driver.machine.ram.place(&request)?, request.len() as u32);
        let response = driver.machine.ram.allocate(64)?;
        let table = [
            Descriptor { address: request.0, length: request.1, flags: flag::NEXT, next: 1 },
            Descriptor { address: response, length: 64, flags: flag::WRITE, next: 0 },
        ];
        let bytes: Vec<u8> = table.iter().flat_map(Descriptor::bytes).collect();
        let address = driver.machine.ram.place(&bytes)?;
        let head = Descriptor { address, length: bytes.len() as u32, flags: flag::INDIRECT, next: 0 };
        driver.machine.ring(Queue::CONTROL).describe(100, head)?;
        driver.machine.ring(Queue::CONTROL).publish(100)?;
        driver.machine.kick(Queue::CONTROL)?;
        expect("bytes of the answer", &24, &driver.machine.wait(Queue::CONTROL)?.1)
    });
    rows.done()
}

/// Plays thirty notes, and compares the frames with the offline render of the same program.
fn plays(driver: &mut Driver) -> Result {
    let mut notes: Vec<(i64, [u8; 3])> = Vec::new();
    for note in 0..30_i64 {
        let key = 40 + (note * 5 % 40) as u8;
        notes.push((note * 100_003, [0x90, key, 90]));
        notes.push((note * 100_003 + 90_000, [0x80, key, 0]));
    }
    let batch: Vec<(i64, u16, &[u8])> = notes.iter().map(|(time, data)| (*time, 1, data.as_slice())).collect();
    driver.send(RENDER, &batch)?;
    let mut pcm = Vec::new();
    while pcm.len() < FRAMES {
        pcm.extend(driver.record(1600)?.pcm);
    }
    let expected = render(driver, &notes)?;
    expect("the guest gets sound", &true, &pcm.iter().any(|frame| *frame != [0, 0]))?;
    let difference = pcm.iter().zip(&expected).position(|(guest, offline)| guest != offline);
    expect("frames", &expected.len(), &pcm.len())?;
    expect("the first frame that differs from the offline render", &None, &difference)?;
    expect("the rings have raised interrupts", &1, &(driver.machine.isr()? & 1))
}

/// Has the card's program render a list of events without a machine.
fn render(driver: &Driver, notes: &[(i64, [u8; 3])]) -> Result<Vec<[i16; 2]>> {
    let folder = driver.machine.card.folder();
    let (events, wav) = (folder.join("events.txt"), folder.join("offline.wav"));
    let write = || {
        let mut list = event_list::Writer::new(File::create(&events)?)?;
        notes.iter().try_for_each(|(time, message)| list.event(time.unsigned_abs(), 1, message))
    };
    write().map_err(Failure::host("cannot write the event list"))?;
    let mut command = Command::new(driver.machine.card.program());
    command.arg("render").arg("--events").arg(&events).arg("--out").arg(&wav);
    command.args(["--frames", &FRAMES.to_string(), "--rate", &SAMPLE_RATE.to_string()]);
    // The default of a session.
    command.args(["--voices", &card_spec::limits::VOICES_DEFAULT.min(VOICES_MAX).to_string()]);
    let output = command.output().map_err(Failure::host("cannot start the offline renderer"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::Answer { process: "the offline renderer", question: "render".into(), answer: text });
    }
    let wrong = |error: hound::Error| Failure::host("the offline render cannot be read")(std::io::Error::other(error));
    let mut reader = hound::WavReader::open(&wav).map_err(wrong)?;
    let samples = reader.samples::<i16>().collect::<std::result::Result<Vec<_>, _>>().map_err(wrong)?;
    Ok(samples.as_chunks::<2>().0.to_vec())
}
