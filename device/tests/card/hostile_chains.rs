//! Chains that are wrong for their queue: diagnosed and returned.

use card_control::Clock;
use card_spec::control::{RequestCode, RequestHeader, ResponseHeader, Status};
use card_spec::diagnosis::Diagnosis;
use card_spec::event::event_flag;
use card_spec::feature;
use card_spec::identity::FirstError;
use card_spec::limits::CHAIN_DESCRIPTORS_MAX;
use card_spec::queue::Queue;
use card_spec::wave::WaveStatus;
use dmus_card::fake::{Board, Descriptor, Driver, Machine, Piece, STREAM_RENDER, STREAM_WAVE, flag};
use zerocopy::{FromBytes, IntoBytes};

fn playing() -> Driver {
    let mut driver = Driver::new(Machine::with_card(Clock::Lockstep));
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    driver
}

/// Checks that the card answers and renders.
#[track_caller]
fn assert_well(driver: &mut Driver) {
    assert_eq!(driver.request(RequestCode::LATENCY, &[]).status, Status::OK);
    assert_eq!(driver.record(16).header.frames.get(), 16);
}

#[track_caller]
fn first(driver: &mut Driver, code: Diagnosis, queue: Queue) -> FirstError {
    driver.machine.wait_until("a diagnosis", |machine| machine.identity().first_error.code.get() != 0);
    let first = driver.machine.identity().first_error;
    assert_eq!((Diagnosis(first.code.get()), first.queue.get()), (code, queue.0));
    first
}

/// Returns a well-formed request in guest memory.
fn latency_request(driver: &Driver) -> Piece {
    let header = RequestHeader { code: RequestCode::LATENCY.0.into(), length: 0.into(), tag: 77.into() };
    Piece::readable(driver.machine.ram.place(header.as_bytes()), size_of::<RequestHeader>())
}

fn answer(driver: &Driver, piece: Piece) -> (Status, u64) {
    let bytes = driver.machine.ram.read(piece.address, size_of::<ResponseHeader>());
    let header = ResponseHeader::read_from_bytes(&bytes).unwrap();
    (Status(header.status.get()), header.tag.get())
}

#[test]
fn a_chain_that_loops_is_answered_malformed() {
    for length in [1_u16, 2, 7] {
        let mut driver = playing();
        let request = latency_request(&driver);
        let response = Piece::writable(driver.machine.ram.allocate(4096), 64);
        let ring = &mut driver.machine.rings[Queue::CONTROL.index()];
        // Descriptors 100, 101, ... of which the last leads back to the writable one.
        let base = 100;
        let flags = flag::NEXT;
        ring.describe(base, Descriptor { address: request.address, length: request.length, flags, next: base + 1 });
        for index in 1..=length {
            let next = if index == length { base + 1 } else { base + index + 1 };
            let flags = flag::NEXT | flag::WRITE;
            ring.describe(base + index, Descriptor { address: response.address, length: 64, flags, next });
        }
        ring.publish(base);
        driver.machine.kick(Queue::CONTROL);
        assert_eq!(driver.machine.wait(Queue::CONTROL).0, base);
        assert_eq!(answer(&driver, response).0, Status::MALFORMED);
        let found = first(&mut driver, Diagnosis::CHAIN_MALFORMED, Queue::CONTROL);
        assert_eq!(found.descriptor.get(), u32::from(base));
        assert_well(&mut driver);
    }
}

#[test]
fn a_chain_that_is_too_long_is_answered_malformed() {
    let mut driver = playing();
    let request = latency_request(&driver);
    let response = Piece::writable(driver.machine.ram.allocate(4096), 16);
    let mut pieces = vec![request, response];
    pieces.resize(CHAIN_DESCRIPTORS_MAX + 1, response);
    driver.machine.rings[0].offer(&pieces);
    driver.machine.kick(Queue::CONTROL);
    driver.machine.wait(Queue::CONTROL);
    assert_eq!(answer(&driver, response).0, Status::MALFORMED);
    let found = first(&mut driver, Diagnosis::CHAIN_MALFORMED, Queue::CONTROL);
    assert_eq!(found.got.get() as usize, CHAIN_DESCRIPTORS_MAX + 1);
    assert_well(&mut driver);
}

#[test]
fn the_longest_chain_that_is_allowed_works() {
    let mut driver = playing();
    let request = latency_request(&driver);
    let address = driver.machine.ram.allocate(4096);
    let mut pieces = vec![request];
    pieces.extend((1..CHAIN_DESCRIPTORS_MAX as u64).map(|index| Piece::writable(address + 8 * index, 8)));
    driver.machine.rings[0].offer(&pieces);
    driver.machine.kick(Queue::CONTROL);
    driver.machine.wait(Queue::CONTROL);
    assert_eq!(answer(&driver, Piece::writable(address + 8, 16)), (Status::OK, 77));
}

#[test]
fn a_chain_that_leads_out_of_the_table_is_diagnosed() {
    let mut driver = playing();
    let request = latency_request(&driver);
    let ring = &mut driver.machine.rings[0];
    let broken = Descriptor { address: request.address, length: request.length, flags: flag::NEXT, next: 5000 };
    ring.describe(90, broken);
    ring.publish(90);
    driver.machine.kick(Queue::CONTROL);
    assert_eq!(driver.machine.wait(Queue::CONTROL), (90, 0), "there is nothing to write an answer to");
    first(&mut driver, Diagnosis::CHAIN_MALFORMED, Queue::CONTROL);
    assert_well(&mut driver);
}

#[test]
fn diagnoses_a_head_that_is_no_descriptor_and_does_not_return_it() {
    for queue in [Queue::CONTROL, Queue::MIDI_OUT, Queue::WAVE] {
        let mut driver = playing();
        driver.machine.rings[queue.index()].publish(u16::MAX);
        driver.machine.kick(queue);
        first(&mut driver, Diagnosis::CHAIN_MALFORMED, queue);
        assert_well(&mut driver);
    }
}

#[test]
fn a_readable_piece_behind_a_writable_one_is_diagnosed() {
    let mut driver = playing();
    let request = latency_request(&driver);
    let response = Piece::writable(driver.machine.ram.allocate(4096), 64);
    driver.machine.rings[0].offer(&[response, request]);
    driver.machine.kick(Queue::CONTROL);
    driver.machine.wait(Queue::CONTROL);
    assert_eq!(answer(&driver, response).0, Status::MALFORMED);
    first(&mut driver, Diagnosis::CHAIN_ORDER, Queue::CONTROL);
    assert_well(&mut driver);
}

#[test]
fn buffers_outside_memory_are_diagnosed_wherever_they_are() {
    let outside = [0, 0xffff_0000, 1 << 44, u64::MAX - 15];
    for (queue, address) in Queue::ALL.into_iter().flat_map(|queue| outside.map(|address| (queue, address))) {
        let mut driver = playing();
        let start = driver.machine.ram.start();
        let response = Piece::writable(driver.machine.ram.allocate(4096), 64);
        let piece = match queue {
            Queue::EVENT | Queue::MIDI_IN => Piece::writable(address, 64),
            _ => Piece::readable(address, 64),
        };
        if queue == Queue::EVENT {
            // An error, for a notice.
            driver.request(RequestCode(0x9999), &[]);
            assert_eq!(driver.machine.identity().first_error.got.get(), 0x9999);
            driver.machine.card().registers.clear();
        }
        if queue == Queue::MIDI_IN {
            use card_spec::control::{StreamKind, StreamState};
            assert_eq!(driver.open_stream(5, StreamKind::CAPTURE, 0, 0).status, Status::OK);
            assert_eq!(driver.state(5, StreamState::RUN).status, Status::OK);
            driver.machine.card().with_card(|card| card.capture(1, &[0xF8], None)).unwrap().unwrap();
        }
        driver.machine.rings[queue.index()].offer(&[piece, response]);
        driver.machine.kick(queue);
        driver.machine.wait(queue);
        let found = first(&mut driver, Diagnosis::BUFFER_OUTSIDE_MEMORY, queue);
        assert_eq!(found.got.get(), (address >> 12) as u32);
        assert!(driver.machine.ram.start() == start);
        assert_well(&mut driver);
    }
}

#[test]
fn a_buffer_that_ends_outside_memory_is_not_touched_at_all() {
    let mut driver = playing();
    let end = driver.machine.ram.end();
    let request = latency_request(&driver);
    driver.machine.rings[0].offer(&[request, Piece::writable(end - 16, 17)]);
    driver.machine.kick(Queue::CONTROL);
    assert_eq!(driver.machine.wait(Queue::CONTROL).1, 0);
    first(&mut driver, Diagnosis::BUFFER_OUTSIDE_MEMORY, Queue::CONTROL);
    assert_eq!(driver.machine.ram.read(end - 16, 16), [0; 16]);
    assert_well(&mut driver);
}

#[test]
fn a_request_without_room_for_an_answer_is_returned_unanswered() {
    for room in [0, 1, 15] {
        let mut driver = playing();
        let header = RequestHeader { code: RequestCode::CLOSE.0.into(), length: 0.into(), tag: 0.into() };
        assert!(driver.request_raw(header.as_bytes(), room).is_empty());
        let found = first(&mut driver, Diagnosis::WRITABLE_TOO_SHORT, Queue::CONTROL);
        assert_eq!((found.expected.get(), found.got.get()), (16, room as u32));
        assert_well(&mut driver);
    }
}

#[test]
fn a_request_without_room_for_its_payload_is_not_carried_out() {
    let mut driver = playing();
    let header = RequestHeader { code: RequestCode::OPEN.0.into(), length: 24.into(), tag: 5.into() };
    let bytes = [header.as_bytes(), &[1, 0, 0, 0], &[0; 20]].concat();
    let response = driver.request_raw(&bytes, 16 + 39);
    let status = ResponseHeader::read_from_bytes(&response).unwrap().status;
    assert_eq!(Status(status.get()), Status::MALFORMED);
    assert_well(&mut driver);
}

#[test]
fn a_length_beyond_the_buffer_is_diagnosed() {
    let mut driver = playing();
    let header = RequestHeader { code: RequestCode::LATENCY.0.into(), length: u32::MAX.into(), tag: 5.into() };
    let response = driver.request_raw(header.as_bytes(), 64);
    let status = ResponseHeader::read_from_bytes(&response).unwrap().status;
    assert_eq!(Status(status.get()), Status::MALFORMED);
    let found = first(&mut driver, Diagnosis::LENGTH, Queue::CONTROL);
    assert_eq!((found.expected.get(), found.got.get()), (0, u32::MAX));
    assert_well(&mut driver);
}

#[test]
fn a_readable_part_beyond_every_bound_is_not_copied() {
    let mut driver = playing();
    // Sixty-four pieces of a megabyte each: the same megabyte.
    let piece = Piece::readable(driver.machine.ram.start(), 1 << 20);
    let response = Piece::writable(driver.machine.ram.allocate(4096), 64);
    let mut pieces = vec![piece; 64];
    pieces.push(response);
    driver.machine.rings[0].offer(&pieces);
    driver.machine.kick(Queue::CONTROL);
    driver.machine.wait(Queue::CONTROL);
    assert_eq!(answer(&driver, response).0, Status::MALFORMED);
    first(&mut driver, Diagnosis::LENGTH, Queue::CONTROL);
    assert_well(&mut driver);
}

#[test]
fn indirect_tables_work_and_wrong_ones_are_diagnosed() {
    let mut driver = playing();
    let request = latency_request(&driver);
    let response = Piece::writable(driver.machine.ram.allocate(4096), 64);
    let good = [
        Descriptor { address: request.address, length: request.length, flags: flag::NEXT, next: 1 },
        Descriptor { address: response.address, length: 64, flags: flag::WRITE, next: 0 },
    ];
    driver.machine.rings[0].offer_indirect(&good);
    driver.machine.kick(Queue::CONTROL);
    driver.machine.wait(Queue::CONTROL);
    assert_eq!(answer(&driver, response), (Status::OK, 77));

    let nested = [Descriptor { address: request.address, length: 32, flags: flag::INDIRECT, next: 0 }];
    let looping = [Descriptor { address: request.address, length: 8, flags: flag::NEXT, next: 0 }];
    let beyond = [Descriptor { address: request.address, length: 8, flags: flag::NEXT, next: 9 }];
    for table in [nested, looping, beyond] {
        driver.machine.card().registers.clear();
        driver.machine.rings[0].offer_indirect(&table);
        driver.machine.kick(Queue::CONTROL);
        driver.machine.wait(Queue::CONTROL);
        first(&mut driver, Diagnosis::CHAIN_MALFORMED, Queue::CONTROL);
        assert_well(&mut driver);
    }
    let outside = Diagnosis::INDIRECT_OUTSIDE_MEMORY;
    for (address, length, flags, code) in [
        (request.address, 15, flag::INDIRECT, Diagnosis::CHAIN_MALFORMED),
        (request.address, 0, flag::INDIRECT, Diagnosis::CHAIN_MALFORMED),
        (0, 64, flag::INDIRECT, outside),
        (driver.machine.ram.end() - 16, 64, flag::INDIRECT, outside),
        (u64::MAX - 32, 64, flag::INDIRECT, outside),
        (request.address, 64, flag::INDIRECT | flag::NEXT, Diagnosis::INDIRECT_WITH_NEXT),
    ] {
        driver.machine.card().registers.clear();
        let ring = &mut driver.machine.rings[0];
        ring.describe(80, Descriptor { address, length, flags, next: 0 });
        ring.publish(80);
        driver.machine.kick(Queue::CONTROL);
        driver.machine.wait(Queue::CONTROL);
        first(&mut driver, code, Queue::CONTROL);
        assert_well(&mut driver);
    }
}

#[test]
fn an_indirect_table_that_was_not_negotiated_is_diagnosed() {
    let mut machine = Machine::with_card(Clock::Lockstep);
    machine.features &= !feature::INDIRECT_DESC;
    let mut driver = Driver::new(machine);
    assert_eq!(driver.open().status, Status::OK);
    let request = latency_request(&driver);
    driver.machine.rings[0].offer_indirect(&[Descriptor {
        address: request.address,
        length: request.length,
        flags: 0,
        next: 0,
    }]);
    driver.machine.kick(Queue::CONTROL);
    driver.machine.wait(Queue::CONTROL);
    first(&mut driver, Diagnosis::INDIRECT_NOT_NEGOTIATED, Queue::CONTROL);
}

#[test]
fn diagnoses_wrong_batches_and_plays_the_events_before_the_error() {
    let note: &[u8] = &[0x90, 60, 127];
    let mut driver = playing();
    let good = driver.batch(STREAM_RENDER, &[(0, 1, note), (0, 1, note)]);
    let edit = |at: usize, bytes: &[u8]| {
        let mut batch = good.clone();
        batch[at..at + bytes.len()].copy_from_slice(bytes);
        batch
    };
    let cases: Vec<(Vec<u8>, Diagnosis)> = vec![
        (good[..15].to_vec(), Diagnosis::READABLE_TOO_SHORT),
        (edit(8, &10_000_u32.to_le_bytes()), Diagnosis::LENGTH),
        (edit(8, &3_u32.to_le_bytes()), Diagnosis::LENGTH),
        (edit(0, &9_u32.to_le_bytes()), Diagnosis::STREAM),
        (edit(0, &STREAM_WAVE.to_le_bytes()), Diagnosis::STREAM),
        (edit(4, &u32::MAX.to_le_bytes()), Diagnosis::EVENT_MALFORMED),
        (edit(16 + 12, &0_u16.to_le_bytes()), Diagnosis::EVENT_MALFORMED),
        (edit(40 + 12, &60_000_u16.to_le_bytes()), Diagnosis::EVENT_MALFORMED),
        (edit(16 + 8, &9_u16.to_le_bytes()), Diagnosis::EVENT_GROUP),
        (edit(16 + 16, &[0x30]), Diagnosis::EVENT_MIDI),
        (edit(16 + 16, &[0xC0]), Diagnosis::EVENT_MIDI),
        (edit(16 + 16, &[0xF4]), Diagnosis::EVENT_MIDI),
    ];
    for (batch, code) in cases {
        driver.machine.card().registers.clear();
        driver.send_raw(&batch);
        driver.machine.wait(Queue::MIDI_OUT);
        first(&mut driver, code, Queue::MIDI_OUT);
        assert_well(&mut driver);
    }
}

#[test]
fn system_exclusive_fragments_are_joined_and_an_endless_one_is_dropped() {
    let mut driver = playing();
    let fragment = |driver: &mut Driver, data: &[u8], more: bool| {
        let mut batch = driver.batch(STREAM_RENDER, &[(0, 1, data)]);
        if more {
            batch[16 + 10..16 + 12].copy_from_slice(&event_flag::INCOMPLETE.to_le_bytes());
        }
        driver.send_raw(&batch);
        driver.machine.wait(Queue::MIDI_OUT);
    };
    fragment(&mut driver, &[0xF0, 0x7E, 0x7F], true);
    fragment(&mut driver, &[0x09, 0x01], true);
    fragment(&mut driver, &[0xF7], false);
    assert_eq!(driver.machine.identity().first_error.code.get(), 0);
    for _ in 0..40 {
        fragment(&mut driver, &[0xF0; 4000], true);
    }
    let found = first(&mut driver, Diagnosis::EVENT_MALFORMED, Queue::MIDI_OUT);
    assert_eq!(found.count.get(), 1, "a message is dropped once");
    assert_well(&mut driver);
}

#[test]
fn batches_and_buffers_before_open_are_diagnosed_and_returned() {
    let mut driver = Driver::new(Machine::with_card(Clock::Lockstep));
    driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 60, 127])]);
    first(&mut driver, Diagnosis::NO_SESSION, Queue::MIDI_OUT);
    driver.machine.card().registers.clear();
    let wave = driver.record(64);
    assert_eq!(wave.header.status.get(), WaveStatus::REFUSED.0);
    first(&mut driver, Diagnosis::NO_SESSION, Queue::WAVE);
    assert_eq!(driver.open().status, Status::OK);
}

/// A small deterministic stream of numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn survives_thousands_of_random_chains() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut driver = playing();
    for round in 0..3000 {
        let queue = Queue(numbers.next() as u16 % 5);
        let ram = driver.machine.ram.clone();
        let near = ram.start() + numbers.next() % (ram.length() / 2) + ram.length() / 2;
        let ring = &mut driver.machine.rings[queue.index()];
        for index in 120..128 {
            let random = numbers.next();
            let address = if random.is_multiple_of(8) { numbers.next() } else { near + (random >> 8) % 0x10000 };
            let length = if random % 16 == 1 { numbers.next() as u32 } else { (random >> 40) as u32 % 5000 };
            let (flags, next) = ((random >> 16) as u16 & 7, 120 + (numbers.next() % 9) as u16);
            ring.describe(index, Descriptor { address, length, flags, next });
        }
        ring.publish(120 + (numbers.next() % 8) as u16);
        driver.machine.kick(queue);
        if round % 100 == 99 {
            // With or without a session, the card answers.
            driver.machine.reset();
            assert_eq!(driver.open().status, Status::OK, "round {round}");
            driver.play(48_000);
            assert_well(&mut driver);
        }
    }
    driver.machine.disconnect();
}

#[test]
fn answers_thousands_of_random_requests() {
    let mut numbers = Numbers(0x0123_4567_89ab_cdef);
    let mut driver = playing();
    for _ in 0..5000 {
        let codes = [1, 2, 3, 4, 5, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x20, 0x21, 0x30, 0x31, 0x32];
        let code = RequestCode(codes[numbers.next() as usize % codes.len()]);
        let payload: Vec<u8> = (0..numbers.next() % 64)
            .map(|_| {
                let random = numbers.next();
                if random.is_multiple_of(3) { (random >> 8) as u8 } else { (random >> 8) as u8 % 4 }
            })
            .collect();
        let response = driver.request(code, &payload);
        assert!(response.status.name().is_some(), "{code} is answered {}", response.status);
        assert_ne!(response.status, Status::CARD_FAILED);
    }
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    assert_well(&mut driver);
}
