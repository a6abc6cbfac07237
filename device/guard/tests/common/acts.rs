//! What a hostile front-end does, what becomes of a bare back-end then, and what the guard finds.

use std::os::fd::AsFd;

use vhost::vhost_user::message::FrontendReq;
use vhost_user_guard::{Fault, Field};

use crate::common::front_end::{
    FrontEnd, GUEST, NEED_REPLY, RAM, USER, VERSION_1, address_body, config_body, eventfd, fd, region_body, ring_body,
    table_body,
};
use crate::common::{device, until};

/// What becomes of a bare back-end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bare {
    /// The connection ends, and QEMU would abort.
    Ends,
    /// It answers, and a ring that is set up properly afterwards does not work.
    Mute,
    /// It goes on.
    Lives,
}

/// Something that a front-end does wrong.
pub(crate) struct Act {
    pub(crate) name: &'static str,
    pub(crate) bare: Bare,
    /// What the guard finds, if anything.
    pub(crate) found: Option<(Field, Fault)>,
    pub(crate) act: fn(&mut FrontEnd),
}

fn say(front_end: &mut FrontEnd, code: FrontendReq, body: &[u8]) {
    // A front-end that is about to be cut off reads nothing.
    front_end.send(code, NEED_REPLY, body, &[]);
}

fn raw(front_end: &mut FrontEnd, code: u32, flags: u32, length: u32, body: &[u8]) {
    let mut bytes: Vec<u8> = [code, flags, length].iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.extend(body);
    front_end.send_bytes(&bytes, &[]);
}

fn addresses(front_end: &mut FrontEnd, change: impl FnOnce(&mut [u64; 3])) {
    let mut parts = FrontEnd::addresses(0);
    change(&mut parts);
    let _ = front_end.base(0);
    say(front_end, FrontendReq::SET_VRING_NUM, &ring_body(0, 64));
    say(front_end, FrontendReq::SET_VRING_BASE, &ring_body(0, 0));
    say(front_end, FrontendReq::SET_VRING_ADDR, &address_body(0, 0, parts));
    kick(front_end, 0);
}

fn kick(front_end: &mut FrontEnd, index: u32) {
    let kick = rustix::io::dup(front_end.rings[index as usize].kick_fd()).unwrap();
    front_end.send(FrontendReq::SET_VRING_KICK, NEED_REPLY, &u64::from(index).to_ne_bytes(), &[kick.as_fd()]);
    say(front_end, FrontendReq::SET_VRING_ENABLE, &ring_body(index, 1));
}

fn size(front_end: &mut FrontEnd, size: u32) {
    let _ = front_end.base(0);
    say(front_end, FrontendReq::SET_VRING_NUM, &ring_body(0, size));
    say(front_end, FrontendReq::SET_VRING_BASE, &ring_body(0, 0));
    say(front_end, FrontendReq::SET_VRING_ADDR, &address_body(0, 0, FrontEnd::addresses(0)));
    kick(front_end, 0);
}

fn table(front_end: &mut FrontEnd, regions: &[[u64; 4]]) {
    let ram = front_end.ram.try_clone().unwrap();
    let files = vec![ram.as_fd(); regions.len()];
    front_end.send(FrontendReq::SET_MEM_TABLE, NEED_REPLY, &table_body(regions), &files);
}

fn region(front_end: &mut FrontEnd, code: FrontendReq, region: [u64; 4]) {
    let ram = front_end.ram.try_clone().unwrap();
    let files = if code == FrontendReq::ADD_MEM_REG { vec![ram.as_fd()] } else { vec![] };
    front_end.send(code, NEED_REPLY, &[[0; 8].as_slice(), &region_body(region)].concat(), &files);
}

pub(crate) const ACTS: &[Act] = &[
    // What a guest can choose.
    Act {
        name: "ring of 48",
        bare: Bare::Lives,
        found: Some((Field::Size, Fault::NotPowerOfTwo)),
        act: |f| size(f, 48),
    },
    Act { name: "ring of 0", bare: Bare::Ends, found: Some((Field::Size, Fault::Zero)), act: |f| size(f, 0) },
    Act {
        name: "ring of 256",
        bare: Bare::Ends,
        found: Some((Field::Size, Fault::EndsBackend)),
        act: |f| size(f, 256),
    },
    Act {
        name: "ring of 65536",
        bare: Bare::Ends,
        found: Some((Field::Size, Fault::TooLarge)),
        act: |f| size(f, 0x1_0000),
    },
    Act {
        name: "descriptors misaligned",
        bare: Bare::Ends,
        found: Some((Field::DescriptorTable, Fault::Misaligned)),
        act: |f| addresses(f, |parts| parts[0] += 8),
    },
    Act {
        name: "used ring misaligned",
        bare: Bare::Ends,
        found: Some((Field::UsedRing, Fault::Misaligned)),
        act: |f| addresses(f, |parts| parts[1] += 2),
    },
    Act {
        name: "available ring misaligned",
        bare: Bare::Ends,
        found: Some((Field::AvailableRing, Fault::Misaligned)),
        act: |f| addresses(f, |parts| parts[2] += 1),
    },
    Act {
        name: "descriptors nowhere",
        bare: Bare::Ends,
        found: Some((Field::DescriptorTable, Fault::OutsideMemory)),
        act: |f| addresses(f, |parts| parts[0] = USER + RAM),
    },
    Act {
        name: "used ring nowhere",
        bare: Bare::Ends,
        found: Some((Field::UsedRing, Fault::OutsideMemory)),
        act: |f| addresses(f, |parts| parts[1] = 0),
    },
    Act {
        name: "available ring nowhere",
        bare: Bare::Ends,
        found: Some((Field::AvailableRing, Fault::OutsideMemory)),
        act: |f| addresses(f, |parts| parts[2] = u64::MAX - 1),
    },
    Act {
        name: "used ring half outside",
        bare: Bare::Lives,
        found: Some((Field::UsedRing, Fault::OutsideMemory)),
        act: |f| addresses(f, |parts| parts[1] = USER + RAM - 64),
    },
    Act {
        name: "used ring in descriptors",
        bare: Bare::Lives,
        found: Some((Field::UsedRing, Fault::Overlap)),
        act: |f| addresses(f, |parts| parts[1] = parts[0] + 64),
    },
    Act {
        name: "ring in another ring",
        bare: Bare::Lives,
        found: Some((Field::DescriptorTable, Fault::Overlap)),
        act: |f| addresses(f, |parts| *parts = FrontEnd::addresses(1)),
    },
    Act {
        name: "features not offered",
        bare: Bare::Ends,
        found: Some((Field::Features, Fault::NotOffered)),
        act: |f| say(f, FrontendReq::SET_FEATURES, &(1_u64 << 63 | 1 << 32 | 1 << 30).to_ne_bytes()),
    },
    Act {
        name: "configuration written",
        bare: Bare::Ends,
        found: None,
        act: |f| say(f, FrontendReq::SET_CONFIG, &config_body(0, 1, 0, &[device::CONFIG_FAIL])),
    },
    Act {
        name: "request that ends the worker",
        bare: Bare::Mute,
        found: None,
        act: |f| {
            f.offer(0, &[device::FAIL; 4]);
            // From then on it ends, even at a ring that is stopped meanwhile.
            until("the worker has read the kick", || (!f.rings[0].is_kicked()).then_some(()));
        },
    },
    // Indices.
    Act {
        name: "size of ring 2",
        bare: Bare::Ends,
        found: Some((Field::Index, Fault::TooLarge)),
        act: |f| say(f, FrontendReq::SET_VRING_NUM, &ring_body(2, 64)),
    },
    Act {
        name: "base of ring 99",
        bare: Bare::Ends,
        found: Some((Field::Index, Fault::TooLarge)),
        act: |f| say(f, FrontendReq::SET_VRING_BASE, &ring_body(99, 0)),
    },
    Act {
        name: "addresses of ring 2",
        bare: Bare::Ends,
        found: Some((Field::Index, Fault::TooLarge)),
        act: |f| say(f, FrontendReq::SET_VRING_ADDR, &address_body(2, 0, FrontEnd::addresses(0))),
    },
    Act {
        name: "enabling ring 2",
        bare: Bare::Ends,
        found: Some((Field::Index, Fault::TooLarge)),
        act: |f| say(f, FrontendReq::SET_VRING_ENABLE, &ring_body(2, 1)),
    },
    Act {
        name: "end of ring 2",
        bare: Bare::Ends,
        found: Some((Field::Index, Fault::TooLarge)),
        act: |f| say(f, FrontendReq::GET_VRING_BASE, &ring_body(2, 0)),
    },
    Act {
        name: "call of ring 255",
        bare: Bare::Ends,
        found: Some((Field::Index, Fault::TooLarge)),
        act: |f| say(f, FrontendReq::SET_VRING_CALL, &0x1ff_u64.to_ne_bytes()),
    },
    Act {
        name: "enabling with 2",
        bare: Bare::Ends,
        found: Some((Field::Enable, Fault::TooLarge)),
        act: |f| say(f, FrontendReq::SET_VRING_ENABLE, &ring_body(0, 2)),
    },
    Act {
        name: "address flags",
        bare: Bare::Ends,
        found: Some((Field::AddressFlags, Fault::NotOffered)),
        act: |f| say(f, FrontendReq::SET_VRING_ADDR, &address_body(1, 2, FrontEnd::addresses(1))),
    },
    // Descriptors.
    Act {
        name: "kick is a file",
        bare: Bare::Ends,
        found: Some((Field::Kick, Fault::Unusable)),
        act: |f| {
            let file = tempfile::tempfile().unwrap();
            let _ = f.base(0);
            f.send(FrontendReq::SET_VRING_KICK, NEED_REPLY, &0_u64.to_ne_bytes(), &[file.as_fd()]);
            say(f, FrontendReq::SET_VRING_ENABLE, &ring_body(0, 1));
        },
    },
    Act {
        name: "kick is /dev/null",
        bare: Bare::Ends,
        found: Some((Field::Kick, Fault::Unusable)),
        act: |f| {
            let file = std::fs::File::open("/dev/null").unwrap();
            let _ = f.base(0);
            f.send(FrontendReq::SET_VRING_KICK, NEED_REPLY, &0_u64.to_ne_bytes(), &[file.as_fd()]);
            say(f, FrontendReq::SET_VRING_ENABLE, &ring_body(0, 1));
        },
    },
    Act {
        name: "kick promised and not sent",
        bare: Bare::Ends,
        found: Some((Field::Descriptors, Fault::Mismatch)),
        act: |f| say(f, FrontendReq::SET_VRING_KICK, &0_u64.to_ne_bytes()),
    },
    Act {
        name: "two kicks",
        bare: Bare::Ends,
        found: Some((Field::Descriptors, Fault::TooLarge)),
        act: |f| {
            let kick = eventfd();
            f.send(FrontendReq::SET_VRING_KICK, NEED_REPLY, &0_u64.to_ne_bytes(), &[fd(&kick), fd(&kick)]);
        },
    },
    Act {
        name: "one kick for two rings",
        bare: Bare::Mute,
        found: Some((Field::Kick, Fault::Shared)),
        act: |f| {
            let _ = f.base(1);
            let kick = rustix::io::dup(f.rings[0].kick_fd()).unwrap();
            f.send(FrontendReq::SET_VRING_KICK, NEED_REPLY, &1_u64.to_ne_bytes(), &[kick.as_fd()]);
            for _ in 0..2000 {
                f.rings[0].kick.write(1).unwrap();
                std::thread::yield_now();
            }
        },
    },
    Act {
        name: "descriptor with GET_FEATURES",
        bare: Bare::Ends,
        found: Some((Field::Descriptors, Fault::TooLarge)),
        act: |f| {
            let kick = eventfd();
            f.send(FrontendReq::GET_FEATURES, 0, &[], &[fd(&kick)]);
        },
    },
    Act {
        name: "back-end channel is a pipe",
        bare: Bare::Ends,
        found: Some((Field::BackendChannel, Fault::Unusable)),
        act: |f| {
            let (pipe, _writer) = std::io::pipe().unwrap();
            f.send(FrontendReq::SET_BACKEND_REQ_FD, NEED_REPLY, &[], &[pipe.as_fd()]);
        },
    },
    // Memory.
    Act { name: "no region", bare: Bare::Ends, found: None, act: |f| table(f, &[]) },
    Act {
        name: "regions in disorder",
        bare: Bare::Ends,
        found: Some((Field::DescriptorTable, Fault::OutsideMemory)),
        act: |f| table(f, &[[GUEST + 0x1000, 0x1000, USER + 0x1000, 0x1000], [GUEST, 0x1000, USER, 0]]),
    },
    Act {
        name: "regions overlap",
        bare: Bare::Ends,
        found: Some((Field::Region, Fault::Overlap)),
        act: |f| table(f, &[[GUEST, RAM, USER, 0], [GUEST + 0x1000, 0x1000, USER + 2 * RAM, 0]]),
    },
    Act {
        name: "region of 0 bytes",
        bare: Bare::Ends,
        found: Some((Field::Region, Fault::Zero)),
        act: |f| table(f, &[[GUEST, 0, USER, 0]]),
    },
    Act {
        name: "region past the end of the address space",
        bare: Bare::Ends,
        found: Some((Field::Region, Fault::TooLarge)),
        act: |f| table(f, &[[u64::MAX - 0xfff, 0x2000, USER, 0]]),
    },
    Act {
        name: "region past the end of its file",
        bare: Bare::Lives,
        found: Some((Field::Region, Fault::TooLarge)),
        act: |f| table(f, &[[GUEST, 2 * RAM, USER, 0]]),
    },
    Act {
        name: "region at an odd address",
        bare: Bare::Ends,
        found: Some((Field::Region, Fault::Misaligned)),
        act: |f| {
            table(f, &[[GUEST + 1, 0x8_0000, USER, 0]]);
            say(f, FrontendReq::SET_VRING_ADDR, &address_body(0, 0, FrontEnd::addresses(0)));
        },
    },
    Act {
        name: "region that cannot be mapped",
        bare: Bare::Ends,
        found: Some((Field::Region, Fault::Unusable)),
        act: |f| table(f, &[[GUEST, 0x1000, USER, 4]]),
    },
    Act {
        name: "fewer descriptors than regions",
        bare: Bare::Ends,
        found: Some((Field::Descriptors, Fault::Mismatch)),
        act: |f| say(f, FrontendReq::SET_MEM_TABLE, &table_body(&[[GUEST, RAM, USER, 0]])),
    },
    Act {
        name: "region added twice",
        bare: Bare::Ends,
        found: None,
        act: |f| region(f, FrontendReq::ADD_MEM_REG, [GUEST, RAM, USER, 0]),
    },
    Act {
        name: "region of 0 bytes added",
        bare: Bare::Ends,
        found: Some((Field::Region, Fault::Zero)),
        act: |f| region(f, FrontendReq::ADD_MEM_REG, [0, 0, 0, 0]),
    },
    Act {
        name: "region removed that is not there",
        bare: Bare::Ends,
        found: Some((Field::Region, Fault::Unknown)),
        act: |f| region(f, FrontendReq::REM_MEM_REG, [0, 0x1000, 0, 0]),
    },
    Act {
        name: "memory taken from running rings",
        bare: Bare::Lives,
        found: Some((Field::DescriptorTable, Fault::OutsideMemory)),
        act: |f| table(f, &[[GUEST + RAM, 0x1000, USER + RAM, 0]]),
    },
    // Headers and lengths.
    Act {
        name: "unknown request",
        bare: Bare::Ends,
        found: Some((Field::Code, Fault::Unknown)),
        act: |f| raw(f, 99, VERSION_1 | NEED_REPLY, 0, &[]),
    },
    Act {
        name: "request 0",
        bare: Bare::Ends,
        found: Some((Field::Code, Fault::Unknown)),
        act: |f| raw(f, 0, VERSION_1, 0, &[]),
    },
    Act {
        name: "version 2",
        bare: Bare::Ends,
        found: Some((Field::Flags, Fault::Mismatch)),
        act: |f| raw(f, 3, 2, 0, &[]),
    },
    Act {
        name: "reserved flags",
        bare: Bare::Ends,
        found: Some((Field::Flags, Fault::Mismatch)),
        act: |f| raw(f, 3, VERSION_1 | 0x100, 0, &[]),
    },
    Act {
        name: "an answer",
        bare: Bare::Ends,
        found: Some((Field::Flags, Fault::Mismatch)),
        act: |f| raw(f, 3, VERSION_1 | 4, 0, &[]),
    },
    Act {
        name: "body of 5000 bytes",
        bare: Bare::Ends,
        found: Some((Field::Length, Fault::Mismatch)),
        act: |f| raw(f, 8, VERSION_1, 5000, &[0; 5000]),
    },
    Act {
        name: "body of 4 bytes",
        bare: Bare::Ends,
        found: Some((Field::Length, Fault::Mismatch)),
        act: |f| raw(f, 8, VERSION_1, 4, &[0; 4]),
    },
    Act {
        name: "GET_FEATURES with a body",
        bare: Bare::Ends,
        found: Some((Field::Length, Fault::Mismatch)),
        act: |f| raw(f, 1, VERSION_1, 8, &[0; 8]),
    },
    // The order of things.
    Act {
        name: "second owner",
        bare: Bare::Ends,
        found: Some((Field::Code, Fault::Repeated)),
        act: |f| say(f, FrontendReq::SET_OWNER, &[]),
    },
    Act {
        name: "owner reset",
        bare: Bare::Ends,
        found: None,
        act: |f| {
            say(f, FrontendReq::RESET_OWNER, &[]);
            say(f, FrontendReq::SET_VRING_ENABLE, &ring_body(0, 0));
        },
    },
    Act {
        name: "device reset",
        bare: Bare::Ends,
        found: None,
        act: |f| {
            say(f, FrontendReq::RESET_DEVICE, &[]);
            say(f, FrontendReq::SET_VRING_ENABLE, &ring_body(0, 1));
        },
    },
    Act {
        name: "status",
        bare: Bare::Ends,
        found: Some((Field::Code, Fault::NotOffered)),
        act: |f| say(f, FrontendReq::SET_STATUS, &8_u64.to_ne_bytes()),
    },
    Act {
        name: "inflight descriptor",
        bare: Bare::Ends,
        found: Some((Field::Code, Fault::NotOffered)),
        act: |f| say(f, FrontendReq::GET_INFLIGHT_FD, &[0; 24]),
    },
    Act {
        name: "log descriptor",
        bare: Bare::Ends,
        found: Some((Field::Code, Fault::NotOffered)),
        act: |f| {
            let log = eventfd();
            f.send(FrontendReq::SET_LOG_FD, NEED_REPLY, &[], &[fd(&log)]);
        },
    },
    Act {
        name: "postcopy",
        bare: Bare::Ends,
        found: Some((Field::Code, Fault::NotOffered)),
        act: |f| say(f, FrontendReq::POSTCOPY_ADVISE, &[]),
    },
    Act {
        name: "IOTLB message",
        bare: Bare::Ends,
        found: Some((Field::Code, Fault::NotOffered)),
        act: |f| say(f, FrontendReq::IOTLB_MSG, &[0; 32]),
    },
    Act {
        name: "RARP",
        bare: Bare::Ends,
        found: Some((Field::Code, Fault::NotOffered)),
        act: |f| say(f, FrontendReq::SEND_RARP, &[0; 8]),
    },
    Act {
        name: "GPU socket",
        bare: Bare::Ends,
        found: None,
        act: |f| {
            let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
            f.send(FrontendReq::GPU_SET_SOCKET, NEED_REPLY, &[], &[socket.as_fd()]);
        },
    },
    // Configuration.
    Act {
        name: "configuration of 0 bytes",
        bare: Bare::Ends,
        found: Some((Field::Config, Fault::Zero)),
        act: |f| say(f, FrontendReq::GET_CONFIG, &config_body(0, 0, 0, &[])),
    },
    Act {
        name: "configuration past its end",
        bare: Bare::Ends,
        found: Some((Field::Config, Fault::TooLarge)),
        act: |f| say(f, FrontendReq::SET_CONFIG, &config_body(4096, 1, 0, &[0])),
    },
    Act {
        name: "configuration at 4 GiB",
        bare: Bare::Ends,
        found: Some((Field::Config, Fault::TooLarge)),
        act: |f| say(f, FrontendReq::GET_CONFIG, &config_body(u32::MAX, u32::MAX, 0, &[])),
    },
    Act {
        name: "configuration of another length",
        bare: Bare::Ends,
        found: Some((Field::Length, Fault::Mismatch)),
        act: |f| say(f, FrontendReq::GET_CONFIG, &config_body(0, 64, 0, &[0; 8])),
    },
    Act {
        name: "configuration flags",
        bare: Bare::Ends,
        found: Some((Field::Config, Fault::NotOffered)),
        act: |f| say(f, FrontendReq::SET_CONFIG, &config_body(0, 1, 4, &[0])),
    },
];
