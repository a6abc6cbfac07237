use alloc::vec;
use alloc::vec::Vec;

use super::*;

/// A small generator of numbers, the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// What a bad line does with a piece of what is sent: cuts, repeats, flips bits, and mixes in the words of others, zero bytes
/// among them.
fn damage(random: &mut Random, bytes: Vec<u8>) -> Vec<u8> {
    let mut bytes = bytes;
    match random.below(8) {
        0 if !bytes.is_empty() => bytes.truncate(random.below(bytes.len())),
        1 if !bytes.is_empty() => drop(bytes.drain(..random.below(bytes.len()))),
        2 => bytes.extend_from_within(..),
        3 if !bytes.is_empty() => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        4 => {
            let at = random.below(bytes.len() + 1);
            bytes.splice(at..at, *b"SAC>\0\r\n");
        }
        5 => bytes.clear(),
        _ => {}
    }
    bytes
}

fn message(number: usize, random: &mut Random) -> Vec<u8> {
    let length = [0, 1, 200, PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX + 1, 5000][random.below(6)];
    let mut bytes = vec![number as u8; length];
    bytes.extend((number as u32).to_le_bytes());
    bytes
}

#[test]
fn every_message_arrives_once_and_in_order_over_a_line_that_damages_everything() {
    for seed in 1..60 {
        let mut random = Random(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        let mut ends = [ReliableLine::new(Side::Guest, 11), ReliableLine::new(Side::Harness, 22)];
        let mut sent: [Vec<Vec<u8>>; 2] = [vec![], vec![]];
        let mut received: [Vec<Vec<u8>>; 2] = [vec![], vec![]];
        let (mut now, mut unsent) = (0, 40);
        while unsent > 0 || !ends.iter().all(|end| end.is_connected() && end.is_idle()) {
            now += 100;
            assert!(now < 10_000_000, "seed {seed}: the line does not recover: {ends:?}");
            if unsent > 0 && ends.iter().all(ReliableLine::is_connected) {
                unsent -= 1;
                let from = random.below(2);
                let message = message(unsent, &mut random);
                ends[from].send(&message).unwrap();
                sent[from].push(message);
            }
            for from in 0..2 {
                let bytes = damage(&mut random, ends[from].transmit(now));
                for arrived in ends[1 - from].receive(&bytes, now) {
                    if let Arrived::Message(message) = arrived {
                        received[1 - from].push(message);
                    }
                }
            }
        }
        assert_eq!((&sent[0], &sent[1]), (&received[1], &received[0]), "seed {seed}");
        assert!(ends.iter().any(|end| end.counts().damaged > 0 && end.counts().resent > 0), "seed {seed}: {ends:?}");
    }
}

/// Exchanges what both have to say until both are silent. Returns what arrived at each.
fn exchange(one: &mut ReliableLine, other: &mut ReliableLine, now: u64) -> (Vec<Arrived>, Vec<Arrived>) {
    let (mut at_one, mut at_other) = (vec![], vec![]);
    loop {
        let (from_one, from_other) = (one.transmit(now), other.transmit(now));
        if from_one.is_empty() && from_other.is_empty() {
            return (at_one, at_other);
        }
        at_other.extend(other.receive(&from_one, now));
        at_one.extend(one.receive(&from_other, now));
    }
}

#[test]
fn the_harness_is_silent_until_it_hears_a_guest_that_announces_itself() {
    let mut harness = ReliableLine::new(Side::Harness, 5);
    assert_eq!(harness.transmit(60_000), b"");
    assert_eq!(harness.receive(b"Press any key\0", 60_000), [Arrived::Text(b"Press any key".to_vec())]);
    assert_eq!(harness.transmit(61_000), b"");
    let mut guest = ReliableLine::new(Side::Guest, 6);
    assert_ne!(guest.transmit(0), b"");
    assert_eq!(guest.transmit(ANNOUNCE_EVERY_MS - 1), b"");
    let announced = guest.transmit(ANNOUNCE_EVERY_MS);
    assert_eq!(harness.receive(&announced, 62_000), [Arrived::Connected { epoch: 6 }]);
    assert_ne!(harness.transmit(62_000), b"");
}

#[test]
fn a_guest_that_starts_anew_is_noticed_and_gets_nothing_of_the_old_conversation() {
    let (mut guest, mut harness) = (ReliableLine::new(Side::Guest, 1), ReliableLine::new(Side::Harness, 2));
    exchange(&mut guest, &mut harness, 0);
    harness.send(b"one").unwrap();
    let (at_guest, _) = exchange(&mut guest, &mut harness, 1);
    assert_eq!(at_guest, [Arrived::Message(b"one".to_vec())]);
    harness.send(b"for the old guest").unwrap();
    let in_flight = harness.transmit(2);
    let mut again = ReliableLine::new(Side::Guest, 3);
    assert_eq!(again.receive(&in_flight, 3), [Arrived::Connected { epoch: 2 }]);
    let (at_guest, at_harness) = exchange(&mut again, &mut harness, 4);
    assert_eq!((at_guest, at_harness), (vec![], vec![Arrived::Connected { epoch: 3 }]));
    harness.send(b"two").unwrap();
    again.send(b"ready").unwrap();
    let (at_guest, at_harness) = exchange(&mut again, &mut harness, 5);
    assert_eq!(at_guest, [Arrived::Message(b"two".to_vec())]);
    assert_eq!(at_harness, [Arrived::Message(b"ready".to_vec())]);
}

#[test]
fn a_harness_that_starts_anew_finds_the_guest_that_is_there() {
    let (mut guest, mut harness) = (ReliableLine::new(Side::Guest, 1), ReliableLine::new(Side::Harness, 2));
    exchange(&mut guest, &mut harness, 0);
    let mut again = ReliableLine::new(Side::Harness, 9);
    let (at_guest, at_harness) = exchange(&mut guest, &mut again, ANNOUNCE_EVERY_MS);
    assert_eq!((at_guest, at_harness), (vec![Arrived::Connected { epoch: 9 }], vec![Arrived::Connected { epoch: 1 }]));
}

#[test]
fn refuses_what_no_peer_of_the_protocol_sends_and_stays_usable() {
    let (mut guest, mut harness) = (ReliableLine::new(Side::Guest, 1), ReliableLine::new(Side::Harness, 2));
    exchange(&mut guest, &mut harness, 0);
    let hostile = |kind, sequence, expected, length| Packet {
        kind,
        from: 1,
        to: 2,
        sequence,
        expected,
        payload: vec![7; length],
    };
    // An acknowledgement of what was never sent, a part from the future, an endless message.
    assert_eq!(harness.receive(&hostile(Kind::Status, 0, 77, 0).encode(), 1), []);
    assert_eq!(harness.receive(&hostile(Kind::End, 5, 0, 3).encode(), 1), []);
    for sequence in 0..=(MESSAGE_BYTES_MAX / PAYLOAD_BYTES_MAX) as u32 {
        assert_eq!(harness.receive(&hostile(Kind::Part, sequence, 0, PAYLOAD_BYTES_MAX).encode(), 1), []);
    }
    assert!(harness.partial.is_empty());
    let own = hostile(Kind::End, 0, 0, 1);
    assert_eq!(guest.receive(&own.encode(), 1), [], "its own echo");
    assert_eq!(harness.send(&vec![0; MESSAGE_BYTES_MAX + 1]), Err(LineError::TooLong(MESSAGE_BYTES_MAX + 1)));
    for _ in 0..4 {
        harness.send(&vec![0; MESSAGE_BYTES_MAX]).unwrap();
    }
    assert_eq!(harness.send(b"x"), Err(LineError::Full(4 << 20)));
}

#[test]
fn a_line_without_zeros_is_returned_in_bounded_pieces() {
    let mut line = ReliableLine::new(Side::Harness, 2);
    assert_eq!(line.receive(&vec![b'x'; TEXT_BYTES_MAX + 5], 0), [Arrived::Text(vec![b'x'; TEXT_BYTES_MAX])]);
    assert_eq!(line.rest(), b"xxxxx");
}
