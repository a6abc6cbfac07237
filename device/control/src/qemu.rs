//! QEMU's options for the card.

use card_spec::identity::IdentityBlock;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::QUEUE_COUNT;

pub use card_spec::VIRTIO_ID;

/// The device model of QEMU that attaches the card. It wants QEMU 10.2 or later.
pub const DEVICE: &str = "vhost-user-test-device-pci";

/// The number of queues that QEMU gives the function.
pub const QUEUES: u32 = QUEUE_COUNT as u32;

/// Entries of each ring: the largest that the card takes.
pub const RING_SIZE: u32 = QUEUE_SIZE_MAX as u32;

/// Bytes of the device configuration: the identity block.
pub const CONFIG_BYTES: u32 = size_of::<IdentityBlock>() as u32;

/// Returns the value of `-device` for a card behind the character device `chardev`. More properties can follow, each
/// after a comma.
#[must_use]
pub fn device_option(chardev: &str) -> String {
    format!(
        "{DEVICE},chardev={chardev},virtio-id={VIRTIO_ID},num_vqs={QUEUES},vq_size={RING_SIZE},\
         config_size={CONFIG_BYTES}"
    )
}

/// The device model of QEMU that attaches the card as a function of its own. It wants QEMU 10.1 or later.
pub const VFIO_USER_DEVICE: &str = "vfio-user-pci";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_has_the_numbers_of_the_datasheet() {
        let expected = "vhost-user-test-device-pci,chardev=card,virtio-id=39,num_vqs=5,vq_size=128,config_size=160";
        assert_eq!(device_option("card"), expected);
    }
}
