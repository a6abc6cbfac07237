//! Several processors at once: the port puts events, the client changes states, the card interrupts.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::{NOTE, TestDriver};
use dmus_miniport::fake::{deliver_interrupts, dispatch};
use portcls::ks::KsState;

#[test]
fn loses_no_event_and_returns_none_twice_under_concurrent_calls() {
    const EVENTS: i64 = 5_000;
    let driver = TestDriver::new();
    let streams: Vec<_> = (0..2).map(|_| driver.render().running()).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let putting: Vec<_> = streams
            .iter()
            .map(|stream| {
                scope.spawn(move || {
                    for time in 0..EVENTS {
                        let event = stream.allocator.message(time, NOTE);
                        stream.put(if time % 5 == 0 { stream.allocator.package(&[event]) } else { event });
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                driver.card.service(dispatch());
                deliver_interrupts(&driver.card);
            }
        });
        scope.spawn(|| {
            let states = [KsState::PAUSE, KsState::RUN, KsState::STOP, KsState::ACQUIRE, KsState::RUN];
            for state in states.into_iter().cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                streams[0].set(state);
            }
        });
        for thread in putting {
            thread.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    for stream in streams {
        // The allocator panics when an event comes back twice.
        assert_eq!(stream.close().outstanding(), 0);
    }
}
