//! What is wrong with each kind of message.

use std::os::fd::OwnedFd;

use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vm_memory::ByteValued;

use super::*;
use crate::offer::Offer;

fn message(code: FrontendReq, body: &[u8], files: usize) -> Message {
    let file = || OwnedFd::from(tempfile::tempfile().unwrap());
    Message {
        code: code.into(),
        flags: VERSION_1,
        length: body.len(),
        body: body.to_vec(),
        files: (0..files).map(|_| file()).collect(),
        files_lost: false,
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn wrong<T>(judged: Result<T, Wrong>) -> (Field, Fault, u64, u64) {
    let Wrong { field, fault, expected, got, .. } = judged.err().unwrap();
    (field, fault, expected, got)
}

#[test]
fn a_header_has_a_known_request_version_1_and_no_other_flags() {
    let with = |code: u32, flags: u32| {
        let mut message = message(FrontendReq::SET_OWNER, &[], 0);
        (message.code, message.flags) = (code, flags);
        header(&message)
    };
    assert_eq!(with(3, VERSION_1 | NEED_REPLY), Ok(FrontendReq::SET_OWNER));
    assert_eq!(wrong(with(45, VERSION_1)), (Field::Code, Fault::Unknown, 0, 45));
    assert_eq!(wrong(with(0, VERSION_1)), (Field::Code, Fault::Unknown, 0, 0));
    for flags in [0, 2, 3, VERSION_1 | REPLY, VERSION_1 | 0x10, u32::MAX] {
        assert_eq!(wrong(with(3, flags)).1, Fault::Mismatch, "{flags:#x}");
    }
    assert_eq!(wrong(with(3, 2 | NEED_REPLY)), (Field::Flags, Fault::Mismatch, 9, 10));
}

#[test]
fn a_request_needs_the_protocol_feature_that_it_belongs_to() {
    let all = Offer { features: !0, protocol: !0, rings: 1, slots: 1 }.passed_protocol();
    let config = VhostUserProtocolFeatures::CONFIG.bits();
    assert_eq!(wrong(negotiated(FrontendReq::GET_CONFIG, 0, all)), (Field::Code, Fault::NotNegotiated, config, 0));
    assert_eq!(negotiated(FrontendReq::GET_CONFIG, config, all), Ok(()));
    assert_eq!(negotiated(FrontendReq::SET_VRING_NUM, 0, all), Ok(()));
    for code in (1..=44).filter_map(|code| FrontendReq::try_from(code).ok()) {
        // Nothing that the guard would not know how to handle is ever offered.
        if matches!(negotiated(code, !0, all), Err(Wrong { fault: Fault::NotOffered, .. })) {
            assert!(required(code).is_some(), "{code:?}");
        }
    }
}

#[test]
fn descriptors_come_with_few_requests() {
    for (code, most) in [
        (FrontendReq::GET_FEATURES, 0),
        (FrontendReq::SET_VRING_ENABLE, 0),
        (FrontendReq::SET_VRING_KICK, 1),
        (FrontendReq::REM_MEM_REG, 1),
        (FrontendReq::SET_MEM_TABLE, 32),
    ] {
        assert_eq!(attached(code, &message(code, &[], most)), Ok(()));
        let more = most as u64 + 1;
        let judged = attached(code, &message(code, &[], most + 1));
        assert_eq!(wrong(judged), (Field::Descriptors, Fault::TooLarge, most as u64, more));
    }
    let lost = Message { files_lost: true, ..message(FrontendReq::SET_VRING_KICK, &[], 0) };
    assert_eq!(wrong(attached(FrontendReq::SET_VRING_KICK, &lost)).1, Fault::Lost);
}

#[test]
fn bodies_have_the_length_of_their_structure() {
    let code = FrontendReq::SET_FEATURES;
    for length in [0, 7, 9, 41] {
        let message = message(code, &vec![0; length], 0);
        assert_eq!(wrong(number(&message)), (Field::Length, Fault::Mismatch, 8, length as u64));
        assert_eq!(wrong(ring_number(&message, 4)).0, Field::Length);
        assert_eq!(wrong(memory_region(&message)).0, Field::Length);
    }
    assert_eq!(wrong(ring_addresses(&message(code, &[0; 39], 0), 4)), (Field::Length, Fault::Mismatch, 40, 39));
    assert_eq!(wrong(empty(&message(code, &[0], 0))), (Field::Length, Fault::Mismatch, 0, 1));
    // The header may declare more than was kept.
    let long = Message { length: 1 << 31, ..message(code, &[0; 4096], 0) };
    assert_eq!(wrong(number(&long)), (Field::Length, Fault::Mismatch, 8, 1 << 31));
}

#[test]
fn a_ring_is_one_of_the_back_ends() {
    let numbered = |index| message(FrontendReq::SET_VRING_NUM, &words(&[index, 7]), 0);
    assert_eq!(ring_number(&numbered(3), 4), Ok((3, 7)));
    assert_eq!(wrong(ring_number(&numbered(4), 4)), (Field::Index, Fault::TooLarge, 3, 4));
    assert_eq!(wrong(ring_number(&numbered(u32::MAX), 4)).1, Fault::TooLarge);
    assert_eq!(wrong(ring_number(&numbered(0), 0)).1, Fault::TooLarge);
    let flags = |flags| address_flags(&VhostUserVringAddr { flags, ..VhostUserVringAddr::default() });
    assert_eq!((flags(0), flags(1)), (Ok(()), Ok(())));
    assert_eq!(wrong(flags(2)), (Field::AddressFlags, Fault::NotOffered, 0, 2));
}

#[test]
fn a_ring_gets_the_descriptor_that_is_announced() {
    let with = |value: u64, files| ring_file(&mut message(FrontendReq::SET_VRING_KICK, &value.to_ne_bytes(), files), 4);
    assert!(matches!(with(3, 1), Ok((3, Some(_)))));
    assert!(matches!(with(0x103, 0), Ok((3, None))));
    assert_eq!(wrong(with(3, 0)), (Field::Descriptors, Fault::Mismatch, 1, 0));
    assert_eq!(wrong(with(3, 2)), (Field::Descriptors, Fault::Mismatch, 1, 2));
    assert_eq!(wrong(with(0x103, 1)), (Field::Descriptors, Fault::Mismatch, 0, 1));
    assert_eq!(wrong(with(4, 1)), (Field::Index, Fault::TooLarge, 3, 4));
    assert_eq!(wrong(with(0x200, 1)), (Field::Index, Fault::Mismatch, 0, 0x200));
}

#[test]
fn a_memory_table_has_as_many_regions_and_descriptors_as_it_says() {
    let with = |count: u32, regions: usize, files| {
        let body = [words(&[count, 0]), vec![0; 32 * regions]].concat();
        memory_table(&mut message(FrontendReq::SET_MEM_TABLE, &body, files)).map(|regions| regions.len())
    };
    assert_eq!(with(2, 2, 2), Ok(2));
    assert_eq!(with(0, 0, 0), Ok(0));
    assert_eq!(wrong(with(2, 1, 2)), (Field::Length, Fault::Mismatch, 72, 40));
    assert_eq!(wrong(with(1, 2, 1)), (Field::Length, Fault::Mismatch, 40, 72));
    assert_eq!(wrong(with(2, 2, 1)), (Field::Descriptors, Fault::Mismatch, 2, 1));
    assert_eq!(wrong(with(33, 33, 32)), (Field::Region, Fault::TooLarge, 32, 33));
    assert_eq!(wrong(with(u32::MAX, 1, 1)).1, Fault::TooLarge);
    let region = VhostUserMemoryRegion::new(1, 2, 3, 4);
    let single = [[0; 8].as_slice(), region.as_slice()].concat();
    let read = memory_region(&message(FrontendReq::ADD_MEM_REG, &single, 1)).unwrap();
    assert_eq!(read.as_slice(), region.as_slice());
}

#[test]
fn a_range_of_configuration_lies_in_it_and_comes_with_its_bytes() {
    let with = |words_of: [u32; 3], payload: usize| {
        let body = [words(&words_of), vec![0; payload]].concat();
        config(&message(FrontendReq::GET_CONFIG, &body, 0)).map(|(_, payload)| payload.len())
    };
    assert_eq!(with([0, 256, 0], 256), Ok(256));
    assert_eq!(with([4095, 1, 3], 1), Ok(1));
    assert_eq!(wrong(with([0, 0, 0], 0)), (Field::Config, Fault::Zero, 1, 0));
    assert_eq!(wrong(with([4095, 2, 0], 2)), (Field::Config, Fault::TooLarge, 4096, 4097));
    assert_eq!(wrong(with([u32::MAX, u32::MAX, 0], 0)).1, Fault::TooLarge);
    assert_eq!(wrong(with([0, 1, 4], 1)), (Field::Config, Fault::NotOffered, 3, 4));
    assert_eq!(wrong(with([0, 8, 0], 7)), (Field::Length, Fault::Mismatch, 20, 19));
}
