//! Seeds of target `messages`.

use card_spec::control::RequestCode;
use card_spec::queue::QUEUE_COUNT;

use super::super::descriptors::Kind;
use super::super::front_end::{message, request};
use super::super::guest::{FEATURES, Guest, PROTOCOL_FEATURES, RAM_LENGTH, RAM_START, USER_ADDRESS, addresses};
use super::super::messages::Verb;
use super::super::record::Act;
use super::rings::{open, queue_sizes};
use super::{Seed, part};

/// An input that is being written.
#[derive(Default)]
struct Script(Vec<u8>);

/// `NEED_REPLY`.
const NEED_REPLY: u8 = 8;

impl Script {
    fn act(mut self, verb: Verb, which: u8, number: u32, wide: u64, data: &[u8]) -> Self {
        Act { kind: verb as u8, which, number, wide, data }.write(&mut self.0);
        self
    }

    fn say(self, code: u32, body: &[u8], files: &[Kind]) -> Self {
        self.act(Verb::Message, 0, code, attached(files), body)
    }

    fn words(self, code: u32, words: &[u32]) -> Self {
        let body: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.say(code, &body, &[])
    }

    fn number(self, code: u32, number: u64, files: &[Kind]) -> Self {
        self.say(code, &number.to_ne_bytes(), files)
    }

    /// Starts with these descriptors for kicks and calls, and the features of `features`.
    fn start_as(self, kick: Kind, call: Kind, features: u64) -> Self {
        self.act(Verb::Start, kick.byte(), call.byte().into(), features, &[])
    }

    fn start(self) -> Self {
        self.start_as(Kind::Event, Kind::Event, 0)
    }

    fn request(self, code: RequestCode, payload: &[u8]) -> Self {
        self.act(Verb::Request, 0, code.0, 0, payload).act(Verb::Settle, 0, 0, 0, &[])
    }

    fn open(self) -> Self {
        self.request(RequestCode::OPEN, &open(queue_sizes()))
    }

    fn region(self, code: u32, [guest, length, user, offset]: [u64; 4], files: &[Kind]) -> Self {
        self.say(code, &[0, guest, length, user, offset].map(u64::to_ne_bytes).concat(), files)
    }

    fn again(self, times: u32) -> Self {
        self.act(Verb::Again, 0, times, 0, &[])
    }

    fn kick(self, which: u8) -> Self {
        self.act(Verb::Kick, which, 1, 0, &[])
    }

    fn end(self, name: &'static str) -> Seed {
        (name, self.0)
    }
}

fn attached(files: &[Kind]) -> u64 {
    let mut bytes = [0; 8];
    for (byte, file) in bytes[4..].iter_mut().zip(files) {
        *byte = file.byte();
    }
    u64::from_le_bytes(bytes)
}

/// Returns every seed.
#[must_use]
pub fn all() -> Vec<Seed> {
    let script = Script::default;
    let start_with_kick = |kick: Kind| script().start_as(kick, Kind::Event, 0).open().kick(0).kick(3);
    let start_with_call = |call: Kind| script().start_as(Kind::Event, call, 0).open().open();
    let memory = [RAM_START, RAM_LENGTH, USER_ADDRESS, 0];
    let mut seeds = vec![
        script().start().open().end("start_and_open"),
        each_request().end("each_request_once"),
        rings_by_hand(Kind::Event).end("rings_message_by_message"),
        // Files that do not stay as they were.
        script().start().open().act(Verb::Cut, 0, 0, 0, &[]).kick(0).kick(1).end("guest_memory_cut_to_nothing"),
        script()
            .start()
            .open()
            .act(Verb::Cut, 0, 0, 0x8000, &[])
            .act(Verb::Kick, 3, 1, 0, &[])
            .kick(4)
            .end("guest_memory_cut_below_the_last_rings"),
        script()
            .region(request::ADD_MEM_REG, memory, &[Kind::Memory])
            .act(Verb::Cut, 1, 0, 0, &[])
            .start()
            .open()
            .end("region_cut_before_its_rings_start"),
        script().region(request::ADD_MEM_REG, memory, &[Kind::CutMemory]).start().open().end("region_cut_once_sent"),
        script().region(request::ADD_MEM_REG, memory, &[Kind::Page]).start().open().end("region_longer_than_its_file"),
        script()
            .region(request::ADD_MEM_REG, memory, &[Kind::SealedMemory])
            .start()
            .open()
            .end("region_of_a_sealed_file"),
        script().region(request::ADD_MEM_REG, memory, &[Kind::Zero]).start().open().end("region_of_a_device"),
        script()
            .start()
            .open()
            .region(request::REM_MEM_REG, memory, &[])
            .region(request::ADD_MEM_REG, memory, &[Kind::GuestMemory])
            .region(request::ADD_MEM_REG, memory, &[Kind::GuestMemory])
            .kick(0)
            .end("region_replugged_twice"),
        script()
            .start()
            .open()
            .region(request::REM_MEM_REG, memory, &[])
            .kick(0)
            .end("memory_taken_under_running_rings"),
        // Kicks and calls that are no event counters.
        start_with_kick(Kind::ClosedPipe).end("kick_is_a_closed_pipe"),
        start_with_kick(Kind::Pipe).end("kick_is_a_pipe"),
        start_with_kick(Kind::BrokenPipe).end("kick_is_a_broken_pipe"),
        start_with_kick(Kind::Semaphore).end("kick_is_a_semaphore"),
        start_with_kick(Kind::Socket).end("kick_is_a_socket"),
        start_with_kick(Kind::ClosedSocket).end("kick_is_a_closed_socket"),
        start_with_kick(Kind::Connection).end("kick_is_the_connection"),
        start_with_kick(Kind::Null).end("kick_is_dev_null"),
        start_with_kick(Kind::Zero).end("kick_is_dev_zero"),
        start_with_kick(Kind::Epoll).end("kick_is_an_epoll_instance"),
        start_with_kick(Kind::Memory).end("kick_is_a_memory_file"),
        start_with_call(Kind::FullPipe).end("call_is_a_full_pipe"),
        script()
            .start_as(Kind::Event, Kind::FullPipe, 0)
            .act(Verb::Block, 5, 0, 0, &[])
            .open()
            .open()
            .end("call_is_a_full_pipe_that_blocks_again"),
        start_with_call(Kind::Socket).end("call_is_a_socket"),
        start_with_call(Kind::BrokenPipe).end("call_is_a_broken_pipe"),
        start_with_call(Kind::Folder).end("call_is_a_folder"),
        rings_by_hand(Kind::Event).number(request::SET_VRING_KICK, 0x100, &[]).open().end("kick_taken_away"),
        // Features.
        script().start_as(Kind::Event, Kind::Event, FEATURES & !(1 << 32)).open().end("open_without_version_1"),
        script().number(request::SET_FEATURES, FEATURES, &[]).start().end("no_protocol_features"),
        // Loops that would fill a log.
        script().say(9999, &[], &[]).again(1200).end("unknown_requests_in_a_loop"),
        script().say(request::SET_VRING_ADDR, &[1], &[]).again(1200).end("malformed_requests_in_a_loop"),
        script().region(request::ADD_MEM_REG, memory, &[Kind::Page]).again(500).end("bad_regions_in_a_loop"),
        script().start().region(request::REM_MEM_REG, [1; 4], &[]).again(1200).end("missing_regions_in_a_loop"),
        script().act(Verb::Message, NEED_REPLY, 24, 0, &[0; 12]).again(1200).end("answers_that_are_not_read"),
        // Disconnections and stops in the middle.
        script().act(Verb::Bytes, 0, 0, 0, &[1, 0, 0]).end("half_a_header"),
        script().act(Verb::Bytes, 0, 0, 0, &[1, 0, 0]).act(Verb::Leave, 0, 0, 0, &[]).end("leave_in_a_header"),
        script().act(Verb::Message, 0, 8, 500, &[1, 2]).end("half_a_body"),
        script().act(Verb::Message, 0, 8, 500, &[1, 2]).act(Verb::Leave, 0, 0, 0, &[]).end("leave_in_a_body"),
        script().act(Verb::Message, 0, 8, u64::from(u32::MAX), &[1, 2]).end("body_of_four_gigabytes"),
        script().start().open().act(Verb::Stop, 0, 0, 0, &[]).end("stop_when_all_is_well"),
        script().act(Verb::Bytes, 0, 0, 0, &[1, 0, 0]).act(Verb::Stop, 0, 0, 0, &[]).end("stop_in_a_header"),
        script().act(Verb::Message, 0, 8, 500, &[1, 2]).act(Verb::Stop, 0, 0, 0, &[]).end("stop_in_a_body"),
    ];
    let two = [message(request::GET_FEATURES, 1, 0, &[]), message(request::GET_CONFIG, 1, 12, &[0; 12])].concat();
    seeds.push(script().act(Verb::Bytes, 0, 0, 0, &two).end("two_messages_at_once"));
    seeds
}

/// Returns the rings as QEMU starts them, message by message, so that each can be mutated.
fn rings_by_hand(kick: Kind) -> Script {
    let mut script = Script::default()
        .say(request::SET_OWNER, &[], &[])
        .number(request::SET_PROTOCOL_FEATURES, 1 | 1 << 3 | 1 << 9 | 1 << 15, &[])
        .number(request::SET_FEATURES, FEATURES | PROTOCOL_FEATURES, &[])
        .region(request::ADD_MEM_REG, [RAM_START, RAM_LENGTH, USER_ADDRESS, 0], &[Kind::GuestMemory]);
    for queue in 0..QUEUE_COUNT as u32 {
        let parts = [0, 1, 2].map(|index| RAM_START + part(queue, index));
        script = script
            .words(request::SET_VRING_NUM, &[queue, 128])
            .words(request::SET_VRING_BASE, &[queue, 0])
            .say(request::SET_VRING_ADDR, &addresses(queue, parts), &[])
            .number(request::SET_VRING_KICK, queue.into(), &[kick])
            .number(request::SET_VRING_CALL, queue.into(), &[Kind::Event])
            .words(request::SET_VRING_ENABLE, &[queue, 1]);
    }
    // The first descriptor that was sent is the region's.
    script.kick(1).words(request::GET_VRING_BASE, &[0, 0])
}

/// Returns each request of the protocol, with a body and a descriptor of about the right form.
fn each_request() -> Script {
    let mut script = Script::default().number(request::SET_PROTOCOL_FEATURES, 1 | 1 << 3 | 1 << 9 | 1 << 15, &[]);
    let table = [[2_u32, 0].map(u32::to_ne_bytes).concat(), {
        let region = |at: u64| [RAM_START + at, 0x1000, USER_ADDRESS + at, 0].map(u64::to_ne_bytes).concat();
        [region(0), region(0x10_0000)].concat()
    }];
    script = script.say(request::SET_MEM_TABLE, &table.concat(), &[Kind::Page, Kind::Memory]);
    for code in (1..45).filter(|code| *code != request::SET_MEM_TABLE) {
        let body = [0_u32, 8, 0, 0, 0, 0, 0, 0, 0, 0].map(u32::to_ne_bytes).concat();
        script = script.act(Verb::Message, NEED_REPLY, code, attached(&[Kind::Event]), &body);
    }
    script
}

/// Checks that the seeds have the addresses of the guest's rings.
#[must_use]
pub fn layout_is_known() -> bool {
    let guest = Guest::new();
    guest
        .plan()
        .iter()
        .enumerate()
        .all(|(queue, ring)| (0..3).all(|index| ring.parts[index] == RAM_START + part(queue as u32, index as u32)))
}
