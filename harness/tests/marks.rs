//! What the guest marks while a song plays, beside what the card records of it.

use std::collections::{BTreeMap, VecDeque};

use card_trace::{Act, GuestAct, Queue, Record, events};
use dmus::playback::stream_song;
use dmus::provision::Workspace;
use dmus::sound::songs::BuiltIn;
use dmus::testbed::run_folder::RunFolder;
use dmus::testbed::{CardOptions, Conditions, TestBed};
use dmus::trace::{Lane, Trace, diff, perfetto, stats};

/// Plays a song. Returns the trace of card and guest.
fn played(name: &str, processors: u8) -> Trace {
    let folder = RunFolder::create(&Workspace::find().unwrap(), name, None).unwrap();
    let conditions = Conditions { processors, ..Conditions::default() };
    let card = CardOptions { trace: true, ..CardOptions::default() };
    let mut bed = TestBed::builder().run_folder(&folder).card(&card).conditions(conditions).boot().unwrap();
    let song = BuiltIn::by_name("tide").unwrap().song().unwrap();
    stream_song(&mut bed, &song).unwrap().expect_passed().unwrap();
    bed.shut_down().unwrap();
    drop(bed);
    let trace = Trace::read_with_guest(folder.path()).unwrap();
    std::fs::remove_dir_all(folder.path()).unwrap();
    trace
}

/// Returns the error of the guest's times against the card's, in nanoseconds.
fn error_ns(trace: &Trace) -> i64 {
    let summary = trace.records.iter().find_map(|record| match record.act() {
        Act::Guest(GuestAct::Marks(summary)) => Some(summary),
        _ => None,
    });
    let summary = summary.expect("marks of the guest");
    assert!(summary.samples >= 1, "{summary:?}");
    assert_eq!((summary.overwritten, summary.unread), (0, 0));
    i64::try_from(summary.error_ns).unwrap()
}

fn guest_acts(trace: &Trace) -> impl Iterator<Item = (&Record, GuestAct)> {
    trace.records.iter().filter_map(|record| match record.act() {
        Act::Guest(act) => Some((record, act)),
        _ => None,
    })
}

#[test]
fn what_the_guest_does_and_what_the_card_sees_of_it_stand_in_one_trace_in_order() {
    let trace = played("marks-one", 1);
    let error = error_ns(&trace);

    // Each event is put before the card takes it.
    let mut put: BTreeMap<(i64, u8), VecDeque<i64>> = BTreeMap::new();
    for (record, act) in guest_acts(&trace) {
        if let GuestAct::PutMessage { first, time, .. } = act {
            put.entry((time, first)).or_default().push_back(record.time);
        }
    }
    let mut taken = 0;
    for record in &trace.records {
        let Act::ChainTaken { queue: Queue::MIDI_OUT, request, .. } = record.act() else { continue };
        for event in events(request) {
            let marked = put.get_mut(&(event.time, event.data[0])).and_then(VecDeque::pop_front);
            let marked = marked.unwrap_or_else(|| panic!("{event:?} is not marked"));
            assert!(marked - error <= record.time, "put at {marked}, taken at {}, error {error}", record.time);
            taken += 1;
        }
    }
    assert!(taken > 300, "{taken} events");

    // A service routine claims an interrupt after the card has taken what it interrupts for.
    let request =
        trace.records.iter().find(|record| matches!(record.act(), Act::ChainTaken { queue: Queue::CONTROL, .. }));
    let request = request.expect("a request").time;
    let mut routines =
        guest_acts(&trace).filter(|(_, act)| matches!(act, GuestAct::Isr { begins: false, level: 1, .. }));
    let (first, _) = routines.next().expect("a service routine that claims");
    assert!(first.time + error >= request, "claimed at {}, taken at {request}, error {error}", first.time);

    let stats = stats(&trace);
    let guest = stats.guest.expect("counts of the guest");
    assert!(guest.events_put >= taken && guest.pool_peak_bytes > 0 && guest.irql_changes > 0, "{guest:?}");
    assert!(!guest.isr.is_empty() && !guest.dpc.is_empty(), "{guest:?}");
    assert!(guest.isr.values().all(|times| times.count > 0 && times.mean_ns > 0.0), "{guest:?}");

    // Every voice that starts has the frame of a note, and ends.
    let (mut started, mut ended) = (0, 0);
    for record in &trace.records {
        match record.act() {
            Act::VoiceStarted(voice) => {
                assert!(voice.frame >= 0 && voice.velocity > 0, "{voice:?}");
                started += 1;
            }
            Act::VoiceEnded { .. } => ended += 1,
            _ => {}
        }
    }
    assert!(started > 100 && ended > 100 && started >= ended, "{started} started, {ended} ended");
    assert!(!perfetto(&trace).is_empty());
}

#[test]
fn two_runs_of_a_song_put_the_same_events_and_run_the_same_routines() {
    let (one, two) = (played("marks-left", 1), played("marks-right", 2));
    if let Some(difference) = diff(&one.records, &two.records, 2) {
        let of_guest = |lane: &Lane| matches!(lane, Lane::PutMessage | Lane::Routines);
        assert!(!of_guest(&difference.lane) && !difference.also.iter().any(of_guest), "{difference:?}");
    }
    let processors: Vec<u8> = stats(&two).guest.unwrap().isr_by_processor.into_keys().collect();
    assert_eq!(processors, [1], "the second processor takes the card's interrupts");
}
