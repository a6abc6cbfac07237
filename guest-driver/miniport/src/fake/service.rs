//! The fake card's work on its queues: control requests, batches, wave requests.

use std::vec;
use std::vec::Vec;

use card_spec::control::{
    DownloadResponse, Latency, Open, OpenResponse, PortParameters, RequestCode, RequestHeader, ResponseHeader,
    Statistics, Status, StatusPageLoan, StreamKind, StreamOpen, StreamStateChange, VoicePriority, port_parameter,
};
use card_spec::queue::Queue;
use card_spec::status_page::StatusPage;
use card_spec::wave::{WaveHeader, WaveRequest, WaveStatus};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::queue::Chain;
use super::records::{Request, parse_batch};
use super::state::FakeCardState;

impl FakeCardState {
    /// Serves a queue that has been kicked.
    pub(super) fn work(&mut self, queue: Queue) {
        if self.status & 4 == 0 || self.behaviour.lost || !core::mem::take(&mut self.kicked[queue.index()]) {
            return;
        }
        if queue == Queue::EVENT || queue == Queue::MIDI_IN {
            return;
        }
        while let Some(chain) = self.rings[queue.index()].pop(&self.memory) {
            let answer = match queue {
                Queue::CONTROL if self.behaviour.keeps_downloads && code_of(&chain) == RequestCode::DLS_DOWNLOAD => {
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

    fn answer_request(&mut self, chain: &Chain) -> Vec<u8> {
        let (header, payload) = RequestHeader::read_from_prefix(&chain.readable).unwrap();
        assert_eq!(header.length.get() as usize, payload.len(), "the length says what follows");
        let code = RequestCode(header.code.get());
        self.requests.push(Request { code, payload: payload.to_vec() });
        let (status, body) = match self.behaviour.refuses {
            Some((refused, status)) if refused == code => (status, Vec::new()),
            _ => self.execute(code, payload),
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

    fn execute(&mut self, code: RequestCode, payload: &[u8]) -> (Status, Vec<u8>) {
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
