//! A conforming front-end and driver notice nothing of the guard.

mod common;

use common::front_end::{FrontEnd, eventfd, fd};
use common::{Guarded, PATIENCE};
use std::os::fd::AsFd;
use vhost::vhost_user::message::FrontendReq;

#[test]
fn requests_come_back_through_both_rings_and_after_a_reset() {
    let guarded = Guarded::echo();
    let mut front_end = FrontEnd::connect(&guarded.socket());
    front_end.introduce().unwrap();
    for _ in 0..3 {
        front_end.start().unwrap();
        for _ in 0..100 {
            assert!(front_end.echoes(0, PATIENCE) && front_end.echoes(1, PATIENCE));
        }
        assert_eq!(front_end.stop().unwrap(), [100, 100]);
    }
    assert_eq!(guarded.take_findings(), []);
}

#[test]
fn a_pause_continues_where_the_ring_was() {
    let guarded = Guarded::echo();
    let mut front_end = FrontEnd::connect(&guarded.socket());
    front_end.introduce().unwrap();
    front_end.start().unwrap();
    assert!(front_end.echoes(0, PATIENCE));
    let bases = front_end.stop().unwrap();
    assert_eq!(bases, [1, 0]);
    front_end.start_ring(0, 1).unwrap();
    front_end.tell(FrontendReq::SET_VRING_ENABLE, &common::front_end::ring_body(0, 1), &[]).unwrap();
    assert!(front_end.echoes(0, PATIENCE));
    assert_eq!(guarded.take_findings(), []);
}

#[test]
fn a_new_kick_of_a_ring_that_runs_is_heard() {
    let guarded = Guarded::echo();
    let mut front_end = FrontEnd::connect(&guarded.socket());
    front_end.introduce().unwrap();
    front_end.start().unwrap();
    assert!(front_end.echoes(0, PATIENCE));
    let kick = eventfd();
    let file = rustix::io::dup(fd(&kick)).unwrap();
    front_end.rings[0].kick = kick;
    front_end.tell(FrontendReq::SET_VRING_KICK, &0_u64.to_ne_bytes(), &[file.as_fd()]).unwrap();
    assert!(front_end.echoes(0, PATIENCE));
    assert_eq!(guarded.take_findings(), []);
}

#[test]
fn one_front_end_after_the_other_is_served() {
    let guarded = Guarded::echo();
    for _ in 0..5 {
        let mut front_end = FrontEnd::connect(&guarded.socket());
        front_end.introduce().unwrap();
        front_end.start().unwrap();
        assert!(front_end.echoes(1, PATIENCE));
    }
    assert_eq!(guarded.take_findings(), []);
}

#[test]
fn the_configuration_is_the_back_ends() {
    let guarded = Guarded::echo();
    let mut front_end = FrontEnd::connect(&guarded.socket());
    front_end.introduce().unwrap();
    let config = front_end.config(64).unwrap();
    assert_eq!(config[..63], (0..63).collect::<Vec<u8>>());
    let write = common::front_end::config_body(0, 4, 0, &[9; 4]);
    assert_eq!(front_end.tell(FrontendReq::SET_CONFIG, &write, &[]).unwrap(), 0);
    assert_eq!(front_end.config(64).unwrap()[..5], [9, 9, 9, 9, 4]);
}
