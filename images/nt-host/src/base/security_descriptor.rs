//! Security descriptors, absolute and self-relative: their lengths, and whether they are valid.
#![allow(unsafe_code, reason = "structures of the Windows ABI")]

/// `SECURITY_DESCRIPTOR_REVISION`.
pub const REVISION: u8 = 1;
/// `SE_DACL_PRESENT`.
pub const DACL_PRESENT: u16 = 4;
/// `SE_DACL_DEFAULTED`.
pub const DACL_DEFAULTED: u16 = 8;
/// `SE_SACL_PRESENT`.
const SACL_PRESENT: u16 = 0x10;
/// `SE_SELF_RELATIVE`.
pub const SELF_RELATIVE: u16 = 0x8000;
/// Bytes of a security identifier without its subauthorities, and the most of those.
const SID_BYTES: usize = 8;
/// `SID_MAX_SUB_AUTHORITIES`.
const SUBAUTHORITIES_MAX: u8 = 15;
/// Bytes of an access control list's header; revisions 2 to 4 are valid.
const ACL_BYTES: usize = 8;

/// `SECURITY_DESCRIPTOR`: absolute.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Descriptor {
    /// Its revision, 1.
    pub revision: u8,
    /// Zero.
    pub zero: u8,
    /// Which parts there are, and its form.
    pub control: u16,
    /// The owner.
    pub owner: *const u8,
    /// The primary group.
    pub group: *const u8,
    /// The system access control list.
    pub sacl: *const u8,
    /// The discretionary access control list.
    pub dacl: *const u8,
}

/// `SECURITY_DESCRIPTOR_RELATIVE`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Relative {
    revision: u8,
    zero: u8,
    control: u16,
    owner: u32,
    group: u32,
    sacl: u32,
    dacl: u32,
}

const _: () = assert!(size_of::<Descriptor>() == 40 && size_of::<Relative>() == 20);

/// Returns the parts of either form: owner, group, system list, discretionary list; NULL for what is absent.
unsafe fn parts(descriptor: *const Descriptor) -> [*const u8; 4] {
    // SAFETY: an export's argument.
    unsafe {
        let control = (*descriptor).control;
        let lists = |sacl, dacl| {
            [
                if control & SACL_PRESENT == 0 { core::ptr::null() } else { sacl },
                if control & DACL_PRESENT == 0 { core::ptr::null() } else { dacl },
            ]
        };
        if control & SELF_RELATIVE == 0 {
            let Descriptor { owner, group, sacl, dacl, .. } = *descriptor;
            let [sacl, dacl] = lists(sacl, dacl);
            return [owner, group, sacl, dacl];
        }
        let relative = *descriptor.cast::<Relative>();
        let at =
            |offset: u32| if offset == 0 { core::ptr::null() } else { descriptor.cast::<u8>().add(offset as usize) };
        let [sacl, dacl] = lists(at(relative.sacl), at(relative.dacl));
        [at(relative.owner), at(relative.group), sacl, dacl]
    }
}

/// Reads 16 bits at an offset.
unsafe fn half(part: *const u8, at: usize) -> u16 {
    // SAFETY: bytes of the caller's.
    unsafe { u16::from_le_bytes([part.add(at).read(), part.add(at + 1).read()]) }
}

/// Returns the bytes of a security identifier, if it is valid.
unsafe fn sid_bytes(sid: *const u8) -> Option<usize> {
    // SAFETY: an identifier of the caller's.
    let (revision, count) = unsafe { (sid.read(), sid.add(1).read()) };
    (revision == 1 && count <= SUBAUTHORITIES_MAX).then(|| SID_BYTES + 4 * usize::from(count))
}

/// Returns the bytes of an access control list, if it is valid.
unsafe fn acl_bytes(acl: *const u8) -> Option<usize> {
    // SAFETY: a list of the caller's.
    unsafe {
        let bytes = usize::from(half(acl, 2));
        let entries = half(acl, 4);
        let mut at = ACL_BYTES;
        for _ in 0..entries {
            let entry = usize::from((at + 4 <= bytes).then(|| half(acl, at + 2))?);
            if entry < 4 || !entry.is_multiple_of(4) {
                return None;
            }
            at += entry;
        }
        (matches!(acl.read(), 2..=4) && bytes >= ACL_BYTES && at <= bytes).then_some(bytes)
    }
}

/// Returns the length of each part that is there, rounded as in a self-relative descriptor; `None` for an invalid one.
///
/// # Safety
/// `descriptor` is valid for reading, and so is what it points to.
pub unsafe fn valid_length(descriptor: *const Descriptor) -> Option<usize> {
    // SAFETY: an export's argument.
    unsafe {
        if (*descriptor).revision != REVISION {
            return None;
        }
        let relative = (*descriptor).control & SELF_RELATIVE != 0;
        let mut bytes = if relative { size_of::<Relative>() } else { size_of::<Descriptor>() };
        let [owner, group, sacl, dacl] = parts(descriptor);
        for sid in [owner, group].into_iter().filter(|part| !part.is_null()) {
            bytes += sid_bytes(sid)?;
        }
        for acl in [sacl, dacl].into_iter().filter(|part| !part.is_null()) {
            bytes += acl_bytes(acl)?.next_multiple_of(4);
        }
        Some(bytes)
    }
}

/// Returns whether a self-relative descriptor of so many bytes is valid: every part inside it.
///
/// # Safety
/// `descriptor` is valid for reading `bytes` bytes.
pub unsafe fn valid_within(descriptor: *const Descriptor, bytes: usize, required: u32) -> bool {
    const OWNER: u32 = 1;
    const GROUP: u32 = 2;
    const DACL: u32 = 4;
    // SAFETY: an export's argument of this many bytes.
    unsafe {
        if bytes < size_of::<Relative>()
            || (*descriptor).revision != REVISION
            || (*descriptor).control & SELF_RELATIVE == 0
        {
            return false;
        }
        let [owner, group, sacl, dacl] = parts(descriptor);
        let missing = [(OWNER, owner), (GROUP, group), (DACL, dacl)];
        if missing.into_iter().any(|(bit, part)| required & bit != 0 && part.is_null()) {
            return false;
        }
        let inside = |part: *const u8, header: usize, length: unsafe fn(*const u8) -> Option<usize>| {
            let at = (part as usize).wrapping_sub(descriptor as usize);
            part.is_null()
                || (at.is_multiple_of(4)
                    && at + header <= bytes
                    && declared(part).is_some_and(|declared| at + declared <= bytes)
                    && length(part).is_some_and(|length| at + length <= bytes))
        };
        inside(owner, SID_BYTES, sid_bytes)
            && inside(group, SID_BYTES, sid_bytes)
            && inside(sacl, ACL_BYTES, acl_bytes)
            && inside(dacl, ACL_BYTES, acl_bytes)
    }
}

/// Returns the length that a part's own header declares, read from nothing but the header.
unsafe fn declared(part: *const u8) -> Option<usize> {
    // SAFETY: the header is inside the descriptor.
    unsafe {
        match part.read() {
            1 => Some(SID_BYTES + 4 * usize::from(part.add(1).read())),
            2..=4 => Some(usize::from(half(part, 2))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn relative(owner: u32, bytes: usize, tail: &[u8]) -> Vec<u32> {
        let mut all: Vec<u8> = Vec::new();
        all.extend([REVISION, 0]);
        all.extend(SELF_RELATIVE.to_le_bytes());
        [owner, 0, 0, 0].iter().for_each(|offset| all.extend(offset.to_le_bytes()));
        all.extend(tail);
        all.resize(bytes.next_multiple_of(4), 0);
        all.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
    }

    #[test]
    fn a_part_must_lie_inside_a_self_relative_descriptor() {
        // S-1-1-0.
        let everyone = [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        let good = relative(20, 32, &everyone);
        let check = |words: &[u32], bytes: usize, required| {
            // SAFETY: as many bytes as are passed, at most.
            unsafe { valid_within(words.as_ptr().cast(), bytes, required) }
        };
        assert!(check(&good, 32, 1));
        assert!(!check(&good, 31, 1), "the identifier ends outside");
        assert!(!check(&good, 32, 2), "there is no group");
        assert!(!check(&relative(400, 32, &everyone), 32, 0), "the offset is outside");
        assert!(!check(&relative(20, 32, &[9, 1]), 32, 0), "the revision of the identifier is not 1");
    }

    #[test]
    fn an_absolute_descriptor_is_as_long_as_its_parts() {
        let acl: [u16; 4] = [2, 8, 0, 0];
        let none = core::ptr::null();
        let mut descriptor =
            Descriptor { revision: REVISION, zero: 0, control: 0, owner: none, group: none, sacl: none, dacl: none };
        // SAFETY: structures of the test's.
        let length = |descriptor: &Descriptor| unsafe { valid_length(descriptor) };
        assert_eq!(length(&descriptor), Some(40));
        descriptor.control = DACL_PRESENT;
        descriptor.dacl = acl.as_ptr().cast();
        assert_eq!(length(&descriptor), Some(48));
        descriptor.revision = 2;
        assert_eq!(length(&descriptor), None);
    }
}
