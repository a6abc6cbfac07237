//! The driver finds the virtio structures wherever configuration space says that they are, and nowhere else.

use dmus_miniport::pci::{Bar, ConfigSpace, PciError, Structure, Structures, bar, find};

/// Configuration space as bytes.
struct Config(Vec<u8>);

impl ConfigSpace for Config {
    fn read32(&mut self, offset: u8) -> u32 {
        assert!(offset.is_multiple_of(4), "an aligned access");
        let at = usize::from(offset);
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }
}

impl Config {
    /// Makes a function without capabilities.
    fn empty() -> Self {
        let mut bytes = vec![0; 256];
        bytes[..4].copy_from_slice(&[0xf4, 0x1a, 0x67, 0x10]);
        bytes[6] = 0x10;
        Self(bytes)
    }

    /// Makes the card as QEMU has it: structures of 4 KiB in BAR 2, chained behind an MSI-X capability.
    fn card() -> Self {
        let mut config = Self::empty();
        config.chain(&[0x98, 0x88, 0x74, 0x64, 0x54, 0x40]);
        config.0[0x98] = 0x11;
        for (at, kind, offset) in [(0x88, 5, 0), (0x74, 2, 0x3000), (0x64, 4, 0x2000), (0x54, 3, 0x1000), (0x40, 1, 0)]
        {
            config.structure(at, kind, 2, offset, 0x1000);
        }
        config.0[0x74 + 16..][..4].copy_from_slice(&4_u32.to_le_bytes());
        config.0[0x74 + 2] = 20;
        config
    }

    fn chain(&mut self, places: &[u8]) {
        self.0[0x34] = places[0];
        for pair in places.windows(2) {
            self.0[usize::from(pair[0]) + 1] = pair[1];
        }
    }

    fn structure(&mut self, at: usize, kind: u8, bar: u8, offset: u32, length: u32) {
        self.0[at] = 9;
        self.0[at + 2] = 16;
        self.0[at + 3] = kind;
        self.0[at + 4] = bar;
        self.0[at + 8..][..4].copy_from_slice(&offset.to_le_bytes());
        self.0[at + 12..][..4].copy_from_slice(&length.to_le_bytes());
    }
}

#[test]
fn finds_the_structures_that_the_capabilities_name() {
    let part = |offset| Structure { bar: 2, offset, length: 0x1000 };
    assert_eq!(
        find(&mut Config::card()),
        Ok(Structures {
            common: part(0),
            notify: part(0x3000),
            notify_multiplier: 4,
            isr: part(0x1000),
            device: part(0x2000)
        })
    );
}

#[test]
fn distinguishes_an_absent_function_from_another_one() {
    assert_eq!(find(&mut Config(vec![0xff; 256])), Err(PciError::Absent));
    let mut config = Config::card();
    config.0[2] = 0x42;
    assert_eq!(find(&mut config), Err(PciError::OtherFunction { vendor: 0x1af4, device: 0x1042 }));
    let mut config = Config::card();
    config.0[6] = 0;
    assert_eq!(find(&mut config), Err(PciError::NoCapabilities));
}

#[test]
fn refuses_a_capability_list_that_loops_or_leaves_configuration_space() {
    let mut config = Config::card();
    config.0[0x41] = 0x98;
    assert_eq!(find(&mut config), Err(PciError::BadCapabilityList));
    let mut config = Config::card();
    config.0[0x34] = 0x20;
    assert_eq!(find(&mut config), Err(PciError::BadCapabilityList));
}

#[test]
fn passes_over_impossible_structures() {
    for (at, value) in [(0x44, 6), (0x42, 8), (0x4f, 0xff)] {
        let mut config = Config::card();
        config.0[at] = value;
        if at == 0x4f {
            config.0[0x48..0x4c].fill(0xff);
        }
        assert_eq!(find(&mut config), Err(PciError::Missing("common configuration")), "{at:#x}");
    }
    let mut config = Config::card();
    config.structure(0x64, 4, 2, 0x2000, 0x9f);
    assert_eq!(find(&mut config), Err(PciError::Missing("device configuration")));
}

#[test]
fn takes_the_first_structure_of_a_type() {
    let mut config = Config::card();
    config.structure(0x88, 1, 4, 0x500, 0x100);
    assert_eq!(find(&mut config).unwrap().common, Structure { bar: 4, offset: 0x500, length: 0x100 });
}

#[test]
fn a_capability_at_the_very_end_of_configuration_space_is_read_within_it() {
    let mut config = Config::card();
    config.0[0x41] = 0xfc;
    config.0[0xfc] = 9;
    config.0[0xfe] = 20;
    config.0[0xff] = 2;
    assert!(find(&mut config).is_ok());
}

#[test]
fn bars_are_read_at_their_width() {
    let mut config = Config::card();
    config.0[0x14..0x18].copy_from_slice(&0xfebf_1000_u32.to_le_bytes());
    config.0[0x18..0x20].copy_from_slice(&0x0000_0080_0000_400c_u64.to_le_bytes());
    config.0[0x20..0x24].copy_from_slice(&0xc001_u32.to_le_bytes());
    assert_eq!(bar(&mut config, 0), None);
    assert_eq!(bar(&mut config, 1), Some(Bar { address: 0xfebf_1000 }));
    assert_eq!(bar(&mut config, 2), Some(Bar { address: 0x80_0000_4000 }));
    assert_eq!(bar(&mut config, 4), None, "I/O ports are no memory");
    assert_eq!(bar(&mut config, 6), None);
}
