//! A trace outlives the process that writes it, however that ends.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use card_trace::{Act, Head, Item, Reader, Settings, Source, Writer};

const PLACE: &str = "CARD_TRACE_TEST_PLACE";

/// Records in the child until it is killed.
fn child(path: &str) -> ! {
    let writer = Writer::create(path.as_ref(), Settings { size: 1 << 20, pcm: false, program: "child" }).unwrap();
    let mut index = 0;
    loop {
        writer.record_with(Source::CARD, Head::mark(), &[format!("mark {index}").as_bytes()]);
        index += 1;
    }
}

#[test]
fn what_was_recorded_is_there_after_sigkill() {
    if let Ok(path) = std::env::var(PLACE) {
        child(&path);
    }
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("card.trace");
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new(program)
        .args(["--exact", "what_was_recorded_is_there_after_sigkill"])
        .env(PLACE, &path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while Reader::open(&path).map_or(0, |reader| reader.header().records()) < 100_000 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the child records nothing");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));

    let (header, items) = Reader::open(&path).unwrap().read_all().unwrap();
    let mut last = None;
    let mut gap = 0;
    for item in &items {
        match item {
            Item::Gap { slots } => gap += slots,
            Item::Record(record) => {
                let Act::Mark { text } = record.act() else { continue };
                let number: u64 = text.strip_prefix("mark ").unwrap().parse().unwrap();
                assert!(last.is_none_or(|last| number == last + 1), "{number} after {last:?}");
                last = Some(number);
            }
        }
    }
    // One thread was within one record at most, besides the one whose start was overwritten.
    assert!(gap <= 4, "{gap} slots are not whole");
    assert!(header.records() >= 100_000 && last.is_some());
}
