//! What a back-end offers, and what of it the guard passes on.

use vhost::vhost_user::message::{FrontendReq, VhostUserProtocolFeatures, VhostUserVirtioFeatures};

use crate::loss::Unfit;

/// Feature bits of VIRTIO 1.2, 6 "Reserved Feature Bits".
const EVENT_IDX: u64 = 1 << 29;
const ACCESS_PLATFORM: u64 = 1 << 33;
const RING_PACKED: u64 = 1 << 34;
const IN_ORDER: u64 = 1 << 35;
const RING_RESET: u64 = 1 << 40;

/// Features that are not passed on: rings that the guard cannot judge (packed, or behind an IOMMU), a reset of one ring, which
/// QEMU announces to no back-end, and the log of a migration.
const WITHHELD: u64 = ACCESS_PLATFORM | RING_PACKED | RING_RESET | VhostUserVirtioFeatures::LOG_ALL.bits();

/// Protocol features that are passed on. The rest either ends the framework (STATUS, INFLIGHT_SHMFD), or belongs to migrations
/// and to messages that the guard does not know how to replay.
const PASSED: VhostUserProtocolFeatures = VhostUserProtocolFeatures::MQ
    .union(VhostUserProtocolFeatures::REPLY_ACK)
    .union(VhostUserProtocolFeatures::CONFIG)
    .union(VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS)
    .union(VhostUserProtocolFeatures::BACKEND_REQ)
    .union(VhostUserProtocolFeatures::BACKEND_SEND_FD)
    .union(VhostUserProtocolFeatures::RESET_DEVICE)
    .union(VhostUserProtocolFeatures::SHARED_OBJECT)
    .union(VhostUserProtocolFeatures::SHMEM);

/// Protocol features that the guard uses for itself, whatever the front-end acknowledges.
pub(crate) const OWN: u64 = VhostUserProtocolFeatures::MQ
    .union(VhostUserProtocolFeatures::REPLY_ACK)
    .union(VhostUserProtocolFeatures::CONFIG)
    .union(VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS)
    .bits();

/// The feature bit by which front-end and back-end have protocol features at all, and rings can be disabled.
pub(crate) const PROTOCOL_FEATURES: u64 = VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();

/// What a back-end offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// What it says.
    pub(crate) features: u64,
    /// What it says; 0 when it has none.
    pub(crate) protocol: u64,
    /// How many rings it has.
    pub(crate) rings: u64,
    /// How many memory regions it takes.
    pub(crate) slots: u64,
}

impl Offer {
    /// Returns the features that the front-end may acknowledge. Protocol features are always among them, because the guard has
    /// some of its own.
    pub(crate) const fn passed_features(&self) -> u64 {
        self.features & !WITHHELD | PROTOCOL_FEATURES
    }

    /// Returns the protocol features that the front-end may acknowledge.
    pub(crate) const fn passed_protocol(&self) -> u64 {
        self.protocol & PASSED.bits() | VhostUserProtocolFeatures::REPLY_ACK.bits()
    }

    /// Returns whether rings of the back-end can be disabled.
    pub(crate) const fn can_disable(&self) -> bool {
        self.features & PROTOCOL_FEATURES != 0
    }

    /// Checks that a new back-end can take the place of the one that made this offer.
    pub(crate) const fn check(&self, new: &Self) -> Result<(), Unfit> {
        if self.passed_features() & !new.passed_features() != 0 {
            return Err(Unfit::Features { expected: self.features, got: new.features });
        }
        if self.passed_protocol() & !new.passed_protocol() != 0 {
            return Err(Unfit::ProtocolFeatures { expected: self.protocol, got: new.protocol });
        }
        if new.rings < self.rings {
            return Err(Unfit::Rings { expected: self.rings, got: new.rings });
        }
        Ok(())
    }
}

/// Returns whether rings have the fields of event indices.
pub(crate) const fn has_event_index(features: u64) -> bool {
    features & EVENT_IDX != 0
}

/// Returns whether buffers are completed in order.
pub(crate) const fn is_in_order(features: u64) -> bool {
    features & IN_ORDER != 0
}

/// Returns the protocol feature that a request depends on.
pub(crate) const fn required(code: FrontendReq) -> Option<VhostUserProtocolFeatures> {
    Some(match code {
        FrontendReq::GET_QUEUE_NUM => VhostUserProtocolFeatures::MQ,
        FrontendReq::SET_LOG_BASE | FrontendReq::SET_LOG_FD => VhostUserProtocolFeatures::LOG_SHMFD,
        FrontendReq::SEND_RARP => VhostUserProtocolFeatures::RARP,
        FrontendReq::NET_SET_MTU => VhostUserProtocolFeatures::MTU,
        FrontendReq::SET_BACKEND_REQ_FD | FrontendReq::IOTLB_MSG => VhostUserProtocolFeatures::BACKEND_REQ,
        FrontendReq::SET_VRING_ENDIAN => VhostUserProtocolFeatures::CROSS_ENDIAN,
        FrontendReq::CREATE_CRYPTO_SESSION | FrontendReq::CLOSE_CRYPTO_SESSION => {
            VhostUserProtocolFeatures::CRYPTO_SESSION
        }
        FrontendReq::POSTCOPY_ADVISE | FrontendReq::POSTCOPY_LISTEN | FrontendReq::POSTCOPY_END => {
            VhostUserProtocolFeatures::PAGEFAULT
        }
        FrontendReq::GET_CONFIG | FrontendReq::SET_CONFIG => VhostUserProtocolFeatures::CONFIG,
        FrontendReq::GET_INFLIGHT_FD | FrontendReq::SET_INFLIGHT_FD => VhostUserProtocolFeatures::INFLIGHT_SHMFD,
        FrontendReq::RESET_DEVICE => VhostUserProtocolFeatures::RESET_DEVICE,
        FrontendReq::VRING_KICK => VhostUserProtocolFeatures::INBAND_NOTIFICATIONS,
        FrontendReq::GET_MAX_MEM_SLOTS | FrontendReq::ADD_MEM_REG | FrontendReq::REM_MEM_REG => {
            VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS
        }
        FrontendReq::SET_STATUS | FrontendReq::GET_STATUS => VhostUserProtocolFeatures::STATUS,
        FrontendReq::GET_SHARED_OBJECT => VhostUserProtocolFeatures::SHARED_OBJECT,
        FrontendReq::SET_DEVICE_STATE_FD | FrontendReq::CHECK_DEVICE_STATE => VhostUserProtocolFeatures::DEVICE_STATE,
        FrontendReq::GET_SHMEM_CONFIG => VhostUserProtocolFeatures::SHMEM,
        _ => return None,
    })
}

/// Returns how many descriptors a request may carry at most.
pub(crate) const fn descriptors(code: FrontendReq) -> usize {
    match code {
        FrontendReq::SET_MEM_TABLE => crate::limits::TABLE_REGIONS_MAX,
        FrontendReq::SET_VRING_CALL
        | FrontendReq::SET_VRING_KICK
        | FrontendReq::SET_VRING_ERR
        | FrontendReq::SET_LOG_BASE
        | FrontendReq::SET_LOG_FD
        | FrontendReq::SET_BACKEND_REQ_FD
        | FrontendReq::SET_INFLIGHT_FD
        | FrontendReq::ADD_MEM_REG
        // Old front-ends send one (QEMU, "Vhost-user Protocol", VHOST_USER_REM_MEM_REG).
        | FrontendReq::REM_MEM_REG
        | FrontendReq::SET_DEVICE_STATE_FD
        | FrontendReq::GPU_SET_SOCKET => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Offer = Offer { features: !0, protocol: !0, rings: 3, slots: 8 };

    #[test]
    fn passes_no_feature_whose_messages_it_cannot_judge() {
        for withheld in [ACCESS_PLATFORM, RING_PACKED, RING_RESET, VhostUserVirtioFeatures::LOG_ALL.bits()] {
            assert_eq!(ALL.passed_features() & withheld, 0);
        }
        let none = Offer { features: 0, protocol: 0, ..ALL };
        assert_eq!(none.passed_features(), PROTOCOL_FEATURES);
        assert_eq!(none.passed_protocol(), VhostUserProtocolFeatures::REPLY_ACK.bits());
        assert_eq!(ALL.passed_protocol() & VhostUserProtocolFeatures::STATUS.bits(), 0);
    }

    #[test]
    fn a_new_back_end_may_offer_more_and_not_less() {
        let less = Offer { features: PROTOCOL_FEATURES, protocol: 1, rings: 2, slots: 8 };
        assert!(less.check(&ALL).is_ok());
        assert!(matches!(ALL.check(&less), Err(Unfit::Features { .. })));
        assert!(matches!(ALL.check(&Offer { protocol: 1, ..ALL }), Err(Unfit::ProtocolFeatures { .. })));
        assert!(matches!(ALL.check(&Offer { rings: 2, ..ALL }), Err(Unfit::Rings { expected: 3, got: 2 })));
    }
}
