//! The fake card.

use std::collections::BTreeMap;
use std::string::String;
use std::sync::{Arc, Mutex};
use std::vec;
use std::vec::Vec;

use card_spec::control::{
    DownloadResponse, Latency, Open, OpenResponse, PortParameters, RequestCode, RequestHeader, ResponseHeader,
    Statistics, Status, StatusPageLoan, StreamKind, StreamOpen, StreamStateChange, VoicePriority, port_parameter,
};
use card_spec::event::{BatchHeader, EventHeader, event_flag, record_bytes};
use card_spec::identity::{IdentityBlock, MAGIC, capability};
use card_spec::notice::{Notice, NoticeKind};
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::status_page::StatusPage;
use card_spec::wave::{WaveHeader, WaveRequest, WaveStatus};
use card_spec::{ABI_MAJOR, ABI_MINOR, feature, limits};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::kernel::FakeRegisters;
use super::queue::{Chain, DeviceRing, Memory};
use crate::transport::{Interrupt, Mapped};

/// `VIRTIO_MSI_NO_VECTOR`.
const NO_VECTOR: u16 = 0xffff;

/// How the card behaves: well by default.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Features offered.
    pub features: u64,
    /// The card accepts the features that were negotiated.
    pub accepts_features: bool,
    /// What the identity block begins with.
    pub magic: [u8; 4],
    /// Its major ABI version.
    pub abi_major: u16,
    /// Largest ring of each queue.
    pub queue_size: u16,
    /// All registers read all ones: the card is gone.
    pub gone: bool,
    /// The status never becomes 0.
    pub never_resets: bool,
    /// The kernel has no memory for the card.
    pub no_memory: bool,
    /// The queues that the card does not look at when it is kicked.
    pub deaf: [bool; QUEUE_COUNT],
    /// How many milliseconds the card puts off looking at deaf queues, if it ever does.
    pub wakes_after: Option<u32>,
    /// For how many milliseconds the card's process does not run: it looks at no queue, and a read of the identity block
    /// takes that long.
    pub stands_still: u32,
    /// Returns this id instead of the chain's.
    pub wrong_id: Option<u32>,
    /// Says that it wrote this much more.
    pub written_too_much: u32,
    /// Runs ahead with the used index by this much.
    pub used_index_ahead: u16,
    /// Answers with another request's tag.
    pub wrong_tag: bool,
    /// Cuts answers to this many bytes.
    pub answer_bytes: Option<usize>,
    /// Refuses requests with this code.
    pub refuses: Option<(RequestCode, Status)>,
    /// Raises no interrupts.
    pub silent: bool,
    /// The most channel groups that it grants.
    pub groups_max: u32,
    /// It says that it captures.
    pub captures: bool,
    /// A voice still sounds from what is unloaded.
    pub unloads_later: bool,
    /// Takes downloads off the ring and never returns them.
    pub mute_downloads: bool,
    /// How it interrupts.
    pub interrupt: Interrupt,
    /// Entries of its MSI-X table.
    pub vectors: u16,
    /// How many more times the kernel gives the driver something, if not for ever.
    pub allocations_left: Option<u32>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            features: feature::VERSION_1 | feature::EVENT_IDX | feature::INDIRECT_DESC,
            accepts_features: true,
            magic: MAGIC,
            abi_major: ABI_MAJOR,
            queue_size: limits::QUEUE_SIZE_MAX,
            gone: false,
            never_resets: false,
            no_memory: false,
            deaf: [false; QUEUE_COUNT],
            wakes_after: None,
            stands_still: 0,
            wrong_id: None,
            written_too_much: 0,
            used_index_ahead: 0,
            wrong_tag: false,
            answer_bytes: None,
            refuses: None,
            silent: false,
            groups_max: 64,
            captures: true,
            unloads_later: false,
            mute_downloads: false,
            interrupt: Interrupt::Line,
            vectors: 1,
            allocations_left: None,
        }
    }
}

/// A request that the card has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its code.
    pub code: RequestCode,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// An event that the card has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayedEvent {
    /// When it plays.
    pub time: i64,
    /// Its channel group.
    pub channel_group: u16,
    /// More of it follows.
    pub incomplete: bool,
    /// Its data.
    pub data: Vec<u8>,
}

/// A batch that the card has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The stream.
    pub stream: u32,
    /// The driver's count.
    pub sequence: u32,
    /// The events.
    pub events: Vec<PlayedEvent>,
}

/// What the card consists of, for tests to look at and to change.
#[derive(Debug)]
pub struct Inside {
    /// How it behaves.
    pub behaviour: Behaviour,
    /// The requests that it has seen.
    pub requests: Vec<Request>,
    /// The batches that it has taken.
    pub batches: Vec<Batch>,
    /// The downloads that it holds, by handle.
    pub downloads: BTreeMap<u32, Vec<u8>>,
    /// Streams and their states.
    pub streams: BTreeMap<u32, u32>,
    /// The sample clock.
    pub frame: u64,
    /// Values written to the device status, in order.
    pub statuses: Vec<u8>,
    /// Kicks of each queue.
    pub kicks: [u32; QUEUE_COUNT],
    /// Time that has passed.
    pub milliseconds: u64,
    /// What the driver has logged.
    pub log: Vec<String>,
    /// The port parameters in force.
    pub parameters: PortParameters,
    /// Messages that it has sent as interrupts, by vector.
    pub messages: BTreeMap<u16, u32>,
    /// How often registers were touched while it was gone.
    pub touches_while_gone: u32,
    pub(super) memory: Memory,
    rings: [DeviceRing; QUEUE_COUNT],
    /// Of each queue, and of the configuration.
    vectors: [u16; QUEUE_COUNT + 1],
    status: u8,
    isr: u8,
    event_idx: bool,
    feature_select: u32,
    accepted: u64,
    queue_select: u16,
    kicked: [bool; QUEUE_COUNT],
    waited: u32,
    status_page: u64,
    status_sequence: u32,
    /// The handle that a download was given last: none is given twice.
    last_download: u32,
    /// News sent in this session; the next one's number.
    pub news_sent: u32,
}

/// A fake card.
#[derive(Clone, Debug)]
pub struct FakeCard(Arc<Mutex<Inside>>);

/// A structure of the card's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Region {
    Common,
    Notify,
    Isr,
    Device,
}

impl FakeCard {
    /// A card.
    #[must_use]
    pub fn new(behaviour: Behaviour) -> Self {
        Self(Arc::new(Mutex::new(Inside {
            behaviour,
            requests: Vec::new(),
            batches: Vec::new(),
            downloads: BTreeMap::new(),
            streams: BTreeMap::new(),
            frame: 0,
            statuses: Vec::new(),
            kicks: [0; QUEUE_COUNT],
            milliseconds: 1,
            log: Vec::new(),
            parameters: PortParameters {
                valid: port_parameter::ALL.into(),
                voices: u32::from(limits::VOICES_DEFAULT).into(),
                channel_groups: u32::from(limits::CHANNEL_GROUPS_DEFAULT).into(),
                audio_channels: 2.into(),
                sample_rate: limits::SAMPLE_RATE_DEFAULT.into(),
                effects: 0.into(),
                share: 0.into(),
            },
            messages: BTreeMap::new(),
            touches_while_gone: 0,
            memory: Memory::default(),
            vectors: [NO_VECTOR; QUEUE_COUNT + 1],
            rings: core::array::from_fn(|_| DeviceRing::default()),
            status: 0,
            isr: 0,
            event_idx: false,
            feature_select: 0,
            accepted: 0,
            queue_select: 0,
            kicked: [false; QUEUE_COUNT],
            waited: 0,
            status_page: 0,
            status_sequence: 0,
            last_download: 0,
            news_sent: 0,
        })))
    }

    /// The card's structures, mapped.
    #[must_use]
    pub fn mapped(&self) -> Mapped<FakeRegisters> {
        let region = |region| FakeRegisters { card: self.clone(), region };
        Mapped {
            common: region(Region::Common),
            notify: region(Region::Notify),
            notify_multiplier: 4,
            isr: region(Region::Isr),
            device: region(Region::Device),
            interrupt: self.with(|card| card.behaviour.interrupt),
        }
    }

    /// Looks at the card, or changes it.
    pub fn with<R>(&self, work: impl FnOnce(&mut Inside) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Every event that the card has taken, in order.
    #[must_use]
    pub fn events(&self) -> Vec<PlayedEvent> {
        self.with(|card| card.batches.iter().flat_map(|batch| batch.events.clone()).collect())
    }

    /// Works on every queue that has been kicked, deaf or not.
    pub fn wake(&self) {
        self.with(|card| {
            for queue in Queue::ALL {
                card.work(queue);
            }
        });
    }

    /// Captures: writes these bytes into the next batch that the driver has lent. False: it has lent none.
    pub fn capture(&self, batch: &[u8]) -> bool {
        self.with(|card| {
            let Some(chain) = card.rings[Queue::MIDI_IN.index()].pop(&card.memory) else { return false };
            card.give_back(Queue::MIDI_IN, &chain, batch);
            true
        })
    }

    /// The last voice that sounds from an unloaded download has ended.
    pub fn end_unload(&self, handle: u32) {
        let mut record = Notice::new_zeroed();
        record.kind = NoticeKind::UNLOADED.0.into();
        record.value = u64::from(handle).into();
        self.send_news(&record);
    }

    /// Gets into trouble that only a reset ends.
    pub fn need_reset(&self) {
        self.with(|card| {
            card.status |= 0x40;
            card.interrupt(QUEUE_COUNT, 2);
        });
    }

    /// Bytes of memory that the driver has allocated for the card.
    #[must_use]
    pub fn dma_bytes(&self) -> usize {
        self.with(|card| card.memory.bytes())
    }

    /// Sends news.
    pub fn send_news(&self, record: &Notice) {
        self.with(|card| {
            let chain = card.rings[Queue::EVENT.index()].pop(&card.memory).expect("the driver has lent buffers");
            let numbered = Notice { sequence: card.news_sent.into(), ..*record };
            card.news_sent += 1;
            card.give_back(Queue::EVENT, &chain, numbered.as_bytes());
        });
    }

    pub(super) fn pass_time(&self, milliseconds: u32) {
        self.with(|card| {
            card.milliseconds += u64::from(milliseconds);
            card.stand_still_less(milliseconds);
            card.waited += milliseconds;
            if card.behaviour.wakes_after.is_some_and(|after| card.waited >= after) {
                card.waited = 0;
                for queue in Queue::ALL {
                    card.work(queue);
                }
            }
        });
    }

    pub(super) fn learn_memory(&self, address: u64, pointer: *mut u8, len: usize) {
        self.with(|card| card.memory.learn(address, pointer, len));
    }

    pub(super) fn forget_memory(&self, address: u64) {
        self.with(|card| card.memory.forget(address));
    }

    pub(super) fn read(&self, region: Region, offset: usize, len: usize) -> u32 {
        self.with(|card| {
            if card.behaviour.gone {
                card.touches_while_gone += 1;
                return u32::MAX;
            }
            if region == Region::Device {
                let rest = card.behaviour.stands_still;
                card.milliseconds += u64::from(rest);
                card.stand_still_less(rest);
            }
            match region {
                Region::Common => card.read_common(offset),
                Region::Notify => 0,
                Region::Isr => core::mem::take(&mut card.isr).into(),
                Region::Device => {
                    let mut bytes = [0; 4];
                    bytes[..len].copy_from_slice(&card.identity().as_bytes()[offset..offset + len]);
                    u32::from_le_bytes(bytes)
                }
            }
        })
    }

    pub(super) fn write(&self, region: Region, offset: usize, value: u32) {
        self.with(|card| match region {
            _ if card.behaviour.gone => card.touches_while_gone += 1,
            Region::Common => card.write_common(offset, value),
            Region::Notify => {
                let queue = Queue(value as u16);
                assert_eq!(offset, 4 * queue.index(), "each queue has its own place");
                card.kicks[queue.index()] += 1;
                card.kicked[queue.index()] = true;
                if !card.behaviour.deaf[queue.index()] && card.behaviour.stands_still == 0 {
                    card.work(queue);
                }
            }
            Region::Isr | Region::Device => panic!("a read-only structure was written"),
        });
    }
}

impl Inside {
    /// Some of the time in which the card does not run is over; after all of it the card looks at its queues.
    fn stand_still_less(&mut self, milliseconds: u32) {
        if self.behaviour.stands_still == 0 {
            return;
        }
        self.behaviour.stands_still = self.behaviour.stands_still.saturating_sub(milliseconds);
        if self.behaviour.stands_still == 0 {
            let deaf = self.behaviour.deaf;
            for queue in Queue::ALL.into_iter().filter(|queue| !deaf[queue.index()]) {
                self.work(queue);
            }
        }
    }

    fn read_common(&self, offset: usize) -> u32 {
        match offset {
            4 => (self.behaviour.features >> (32 * self.feature_select)) as u32,
            16 => self.vectors[QUEUE_COUNT].into(),
            18 => QUEUE_COUNT as u32,
            20 => {
                let accepted = self.behaviour.accepts_features || self.status & 8 == 0;
                u32::from(if accepted { self.status } else { self.status & !8 })
            }
            24 => self.behaviour.queue_size.into(),
            26 => self.vectors[usize::from(self.queue_select)].into(),
            30 => self.queue_select.into(),
            _ => panic!("the driver reads common configuration at {offset}"),
        }
    }

    fn write_common(&mut self, offset: usize, value: u32) {
        let queue = usize::from(self.queue_select);
        let set_half = |whole: &mut u64, high: bool| {
            let shift = if high { 32 } else { 0 };
            *whole = *whole & !(0xffff_ffff << shift) | u64::from(value) << shift;
        };
        match offset {
            0 | 8 => self.feature_select = value,
            12 => {
                set_half(&mut self.accepted, self.feature_select == 1);
                self.event_idx = self.accepted & feature::EVENT_IDX != 0;
            }
            16 | 26 => {
                let place = if offset == 16 { QUEUE_COUNT } else { queue };
                let is_there = value < self.behaviour.vectors.into() && self.behaviour.interrupt != Interrupt::Line;
                self.vectors[place] = if is_there { value as u16 } else { NO_VECTOR };
            }
            20 => {
                self.statuses.push(value as u8);
                self.status = if self.behaviour.never_resets && value == 0 { 0x40 } else { value as u8 };
                if value == 0 {
                    self.rings = core::array::from_fn(|_| DeviceRing::default());
                    self.isr = 0;
                    self.vectors.fill(NO_VECTOR);
                    self.streams.clear();
                    self.news_sent = 0;
                }
            }
            22 => self.queue_select = value as u16,
            24 => self.rings[queue].size = value as u16,
            28 => self.rings[queue].enabled = value == 1,
            32 | 36 => set_half(&mut self.rings[queue].descriptors, offset == 36),
            40 | 44 => set_half(&mut self.rings[queue].available, offset == 44),
            48 | 52 => set_half(&mut self.rings[queue].used, offset == 52),
            _ => panic!("the driver writes common configuration at {offset}"),
        }
    }

    fn identity(&self) -> IdentityBlock {
        let mut identity = IdentityBlock::new_zeroed();
        identity.magic = self.behaviour.magic;
        identity.abi_major = self.behaviour.abi_major.into();
        identity.abi_minor = ABI_MINOR.into();
        identity.length = (size_of::<IdentityBlock>() as u16).into();
        identity.queue_count = (QUEUE_COUNT as u16).into();
        let capture = if self.behaviour.captures { capability::CAPTURE } else { 0 };
        identity.capabilities = (capture | capability::GM_BANK | capability::REVERB | capability::DLS1).into();
        identity.queue_sizes = [self.behaviour.queue_size.into(); QUEUE_COUNT];
        identity.voices = limits::VOICES_MAX.into();
        identity.channel_groups = limits::CHANNEL_GROUPS_MAX.into();
        identity
    }

    fn work(&mut self, queue: Queue) {
        if self.status & 4 == 0 || !core::mem::take(&mut self.kicked[queue.index()]) {
            return;
        }
        if queue == Queue::EVENT || queue == Queue::MIDI_IN {
            return;
        }
        while let Some(chain) = self.rings[queue.index()].pop(&self.memory) {
            let answer = match queue {
                Queue::CONTROL if self.behaviour.mute_downloads && code_of(&chain) == RequestCode::DLS_DOWNLOAD => {
                    continue;
                }
                Queue::CONTROL => self.answer_request(&chain),
                Queue::MIDI_OUT => {
                    self.batches.push(parse_batch(&chain.readable));
                    Vec::new()
                }
                _ => self.render(&chain),
            };
            self.give_back(queue, &chain, &answer);
        }
    }

    fn give_back(&mut self, queue: Queue, chain: &Chain, answer: &[u8]) {
        chain.answer(&self.memory, answer);
        let behaviour = &self.behaviour;
        let id = behaviour.wrong_id.unwrap_or(chain.head.into());
        let written = answer.len() as u32 + behaviour.written_too_much;
        let ring = &mut self.rings[queue.index()];
        let wanted = ring.push(&self.memory, self.event_idx, id, written);
        if behaviour.used_index_ahead != 0 {
            let ahead = ring.returned.wrapping_add(behaviour.used_index_ahead);
            self.memory.write(ring.used + 2, &ahead.to_le_bytes());
        }
        if wanted && !behaviour.silent {
            self.interrupt(queue.index(), 1);
        }
    }

    /// Interrupts for a queue, or for the configuration.
    fn interrupt(&mut self, place: usize, cause: u8) {
        match self.behaviour.interrupt {
            Interrupt::Line => self.isr |= cause,
            Interrupt::Message { .. } if self.vectors[place] == NO_VECTOR => {}
            Interrupt::Message { .. } => *self.messages.entry(self.vectors[place]).or_default() += 1,
        }
    }

    fn answer_request(&mut self, chain: &Chain) -> Vec<u8> {
        let (header, payload) = RequestHeader::read_from_prefix(&chain.readable).unwrap();
        assert_eq!(header.length.get() as usize, payload.len(), "the length says what follows");
        let code = RequestCode(header.code.get());
        self.requests.push(Request { code, payload: payload.to_vec() });
        let (status, body) = match self.behaviour.refuses {
            Some((refused, status)) if refused == code => (status, Vec::new()),
            _ => self.obey(code, payload),
        };
        let response = ResponseHeader {
            status: status.0.into(),
            length: (body.len() as u32).into(),
            tag: (header.tag.get() + u64::from(self.behaviour.wrong_tag)).into(),
        };
        let mut answer = response.as_bytes().to_vec();
        answer.extend(body);
        answer.truncate(self.behaviour.answer_bytes.unwrap_or(usize::MAX));
        answer
    }

    fn obey(&mut self, code: RequestCode, payload: &[u8]) -> (Status, Vec<u8>) {
        let mut status = Status::OK;
        let body = match code {
            RequestCode::OPEN => {
                let open = Open::read_from_bytes(payload).unwrap();
                for (ring, declared) in self.rings.iter().zip(open.queue_sizes) {
                    assert_eq!(ring.size, declared.get(), "declared sizes are the rings'");
                }
                let answer = OpenResponse { session: open.session, parameters: self.parameters, reserved: 0.into() };
                answer.as_bytes().to_vec()
            }
            RequestCode::STATUS_PAGE => {
                self.status_page = StatusPageLoan::read_from_bytes(payload).unwrap().address.get();
                assert_eq!(self.status_page % 4096, 0);
                Vec::new()
            }
            RequestCode::PARAMETERS => {
                let wanted = PortParameters::read_from_bytes(payload).unwrap();
                if wanted.valid.get() & port_parameter::CHANNEL_GROUPS != 0 {
                    let granted = wanted.channel_groups.get().clamp(1, self.behaviour.groups_max);
                    if granted != wanted.channel_groups.get() {
                        status = Status::ALTERED;
                    }
                    self.parameters.channel_groups = granted.into();
                }
                self.parameters.as_bytes().to_vec()
            }
            RequestCode::STATISTICS => {
                let mut statistics = Statistics::new_zeroed();
                statistics.valid = 1.into();
                statistics.voices = 7.into();
                statistics.as_bytes().to_vec()
            }
            RequestCode::LATENCY => Latency { minimum: 50_000.into() }.as_bytes().to_vec(),
            RequestCode::VOICE_PRIORITY => {
                let mut priority = VoicePriority::read_from_bytes(payload).unwrap();
                if priority.set.get() == 0 {
                    priority.priority = 0x8000_000e.into();
                }
                priority.as_bytes().to_vec()
            }
            RequestCode::STREAM_OPEN => {
                let open = StreamOpen::read_from_bytes(payload).unwrap();
                assert!(self.streams.insert(open.stream.get(), 0).is_none(), "the stream is not open yet");
                if open.kind.get() == StreamKind::WAVE.0 {
                    self.parameters.sample_rate = open.sample_rate;
                    self.parameters.audio_channels = u32::from(open.channels.get()).into();
                }
                Vec::new()
            }
            RequestCode::STREAM_CLOSE => {
                let id = u32::from_le_bytes(payload[..4].try_into().unwrap());
                assert!(self.streams.remove(&id).is_some(), "the stream is open");
                Vec::new()
            }
            RequestCode::STREAM_STATE => {
                let change = StreamStateChange::read_from_bytes(payload).unwrap();
                self.streams.insert(change.stream.get(), change.state.get());
                Vec::new()
            }
            RequestCode::DLS_DOWNLOAD => {
                // The fake knows good data by its first byte.
                let mut answer = DownloadResponse::new_zeroed();
                if payload.first() == Some(&1) {
                    self.last_download += 1;
                    let handle = self.last_download;
                    self.downloads.insert(handle, payload.to_vec());
                    answer.handle = handle.into();
                } else {
                    status = Status::MALFORMED;
                    answer.reason = 4.into();
                }
                answer.as_bytes().to_vec()
            }
            RequestCode::DLS_UNLOAD => {
                let handle = u32::from_le_bytes(payload[..4].try_into().unwrap());
                status = match self.downloads.remove(&handle) {
                    Some(_) if self.behaviour.unloads_later => Status::PENDING,
                    Some(_) => Status::OK,
                    None => Status::NOT_FOUND,
                };
                Vec::new()
            }
            RequestCode::CLOSE | RequestCode::CLOCK_SYNC | RequestCode::VOLUME | RequestCode::DLS_COMPACT => Vec::new(),
            _ => {
                status = Status::UNSUPPORTED;
                Vec::new()
            }
        };
        (status, body)
    }

    /// Fills a buffer: each sample is its frame's number.
    fn render(&mut self, chain: &Chain) -> Vec<u8> {
        let request = WaveRequest::read_from_bytes(&chain.readable).unwrap();
        let frames = request.frames.get();
        let running = self.streams.get(&request.stream.get()) == Some(&3);
        let header = WaveHeader {
            status: if running { WaveStatus::OK } else { WaveStatus::FLUSHED }.0.into(),
            frames: if running { frames } else { 0 }.into(),
            position: self.frame.into(),
            master_time: 0.into(),
            card_time: 0.into(),
        };
        let mut answer = header.as_bytes().to_vec();
        if running {
            let channels = (chain.room() - size_of::<WaveHeader>()) / (2 * frames as usize);
            for frame in self.frame..self.frame + u64::from(frames) {
                answer.extend(vec![(frame as i16).to_le_bytes(); channels].concat());
            }
            self.frame += u64::from(frames);
            self.write_status_page();
        }
        answer
    }

    fn write_status_page(&mut self) {
        if self.status_page == 0 {
            return;
        }
        self.status_sequence += 2;
        let page = StatusPage {
            sequence: self.status_sequence.into(),
            frame: self.frame.into(),
            latency_time: 777_000.into(),
            ..StatusPage::default()
        };
        self.memory.write(self.status_page, page.as_bytes());
    }
}

fn code_of(chain: &Chain) -> RequestCode {
    RequestCode(RequestHeader::read_from_prefix(&chain.readable).unwrap().0.code.get())
}

fn parse_batch(bytes: &[u8]) -> Batch {
    let (header, mut rest) = BatchHeader::read_from_prefix(bytes).unwrap();
    assert_eq!(header.length.get() as usize, bytes.len(), "the length is the batch's");
    assert!(bytes.len() <= limits::BATCH_BYTES_MAX as usize);
    let mut events = Vec::new();
    for _ in 0..header.count.get() {
        let (record, data) = EventHeader::read_from_prefix(rest).unwrap();
        let length = usize::from(record.length.get());
        assert!(length != 0, "an event has data");
        events.push(PlayedEvent {
            time: record.time.get(),
            channel_group: record.channel_group.get(),
            incomplete: record.flags.get() & event_flag::INCOMPLETE != 0,
            data: data[..length].to_vec(),
        });
        rest = &rest[record_bytes(length)..];
    }
    assert!(rest.is_empty(), "nothing but records");
    Batch { stream: header.stream.get(), sequence: header.sequence.get(), events }
}
