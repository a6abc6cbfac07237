//! The buffers of WMI requests (wmistr.h): where their fields are, and how what a driver returns becomes a reply.

/// Bytes of `WNODE_HEADER`.
pub(super) const HEADER_BYTES: u32 = 48;
/// Bytes of `WNODE_TOO_SMALL`: the header and the size that is needed.
pub(super) const TOO_SMALL_BYTES: u32 = HEADER_BYTES + 4;

/// Offsets of fields.
pub(super) mod at {
    /// `WNODE_HEADER.BufferSize`.
    pub(in crate::wmilib) const BUFFER_SIZE: usize = 0;
    /// `WNODE_HEADER.Guid`.
    pub(in crate::wmilib) const GUID: usize = 24;
    /// `WNODE_HEADER.Flags`.
    pub(in crate::wmilib) const FLAGS: usize = 44;
    /// `WNODE_TOO_SMALL.SizeNeeded`.
    pub(in crate::wmilib) const SIZE_NEEDED: usize = 48;
    /// `InstanceIndex` of every buffer that is for one instance.
    pub(in crate::wmilib) const INSTANCE_INDEX: usize = 52;
    /// `WNODE_SINGLE_INSTANCE`: `DataBlockOffset`, then `SizeDataBlock`.
    pub(in crate::wmilib) const INSTANCE_DATA: usize = 56;
    /// `WNODE_SINGLE_ITEM.ItemId` and `WNODE_METHOD_ITEM.MethodId`.
    pub(in crate::wmilib) const ITEM: usize = 56;
    /// `WNODE_SINGLE_ITEM` and `WNODE_METHOD_ITEM`: `DataBlockOffset`, then the size of the data.
    pub(in crate::wmilib) const ITEM_DATA: usize = 60;
    /// `WNODE_ALL_DATA`: `DataBlockOffset`, `InstanceCount`, `OffsetInstanceNameOffsets`, then offset and length of each.
    pub(in crate::wmilib) const ALL_DATA: usize = 48;
    /// `WNODE_ALL_DATA.OffsetInstanceDataAndLength`.
    pub(in crate::wmilib) const ALL_INSTANCES: usize = 60;
}

/// `WNODE_FLAG_ALL_DATA`.
pub(super) const FLAG_ALL_DATA: u32 = 1;
/// `WNODE_FLAG_SINGLE_INSTANCE`.
pub(super) const FLAG_SINGLE_INSTANCE: u32 = 2;
/// `WNODE_FLAG_TOO_SMALL`.
pub(super) const FLAG_TOO_SMALL: u32 = 0x20;
/// `WNODE_FLAG_EVENT_ITEM`.
pub(super) const FLAG_EVENT_ITEM: u32 = 8;
/// `WNODE_FLAG_FIXED_INSTANCE_SIZE`.
const FLAG_FIXED_INSTANCE_SIZE: u32 = 0x10;

/// Reads a field.
pub(super) fn read(node: &[u8], offset: usize) -> u32 {
    node.get(offset..offset + 4).and_then(|field| field.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Writes a field, if the buffer has it.
pub(super) fn write(node: &mut [u8], offset: usize, value: u32) {
    if let Some(field) = node.get_mut(offset..offset + 4) {
        field.copy_from_slice(&value.to_le_bytes());
    }
}

/// Returns where the data of all of `count` instances begin.
pub(super) const fn all_data_offset(count: u32) -> u32 {
    (at::ALL_INSTANCES as u32 + 8 * count).next_multiple_of(8)
}

/// Turns a buffer into `WNODE_TOO_SMALL`. Returns the bytes of the reply.
pub(super) fn too_small(node: &mut [u8], needed: u32) -> u32 {
    let flags = read(node, at::FLAGS);
    write(node, at::FLAGS, flags | FLAG_TOO_SMALL);
    write(node, at::BUFFER_SIZE, TOO_SMALL_BYTES);
    write(node, at::SIZE_NEEDED, needed);
    TOO_SMALL_BYTES
}

/// Completes `WNODE_ALL_DATA` of which the driver has written `used` bytes of data, and the length of each instance where
/// the offsets and lengths will be. Returns the bytes of the reply.
pub(super) fn complete_all_data(node: &mut [u8], used: u32) -> u32 {
    let (offset, count) = (read(node, at::ALL_DATA), read(node, at::ALL_DATA + 4));
    let mut flags = read(node, at::FLAGS) | FLAG_ALL_DATA;
    if count == 1 {
        // One size for all: the field that would be the first offset.
        flags |= FLAG_FIXED_INSTANCE_SIZE;
        write(node, at::ALL_INSTANCES, used);
    } else {
        // Every length is read before the pairs are written over them.
        let mut end = 0;
        let starts: alloc::vec::Vec<(u32, u32)> = (0..count as usize)
            .map(|index| {
                let length = read(node, at::ALL_INSTANCES + 4 * index);
                let start = end;
                end = (start + length).next_multiple_of(8);
                (start, length)
            })
            .collect();
        for (index, (start, length)) in starts.into_iter().enumerate() {
            write(node, at::ALL_INSTANCES + 8 * index, offset + start);
            write(node, at::ALL_INSTANCES + 8 * index + 4, length);
        }
    }
    write(node, at::FLAGS, flags);
    write(node, at::BUFFER_SIZE, offset + used);
    offset + used
}

/// Completes a buffer of one instance, item or method whose data's offset and size are at `data`. Returns the bytes of the
/// reply.
pub(super) fn complete_one(node: &mut [u8], data: usize, used: u32) -> u32 {
    let offset = read(node, data);
    write(node, data + 4, used);
    write(node, at::BUFFER_SIZE, offset + used);
    offset + used
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    #[test]
    fn all_data_of_several_instances_have_offsets_and_lengths() {
        let mut node = vec![0; 200];
        let offset = all_data_offset(3);
        assert_eq!(offset, 88);
        write(&mut node, at::ALL_DATA, offset);
        write(&mut node, at::ALL_DATA + 4, 3);
        for (index, length) in [5, 8, 1].into_iter().enumerate() {
            write(&mut node, at::ALL_INSTANCES + 4 * index, length);
        }
        // Each instance begins at a multiple of 8: 5 bytes, 8 bytes and 1 byte take 17.
        assert_eq!(complete_all_data(&mut node, 17), offset + 17);
        let pairs: std::vec::Vec<_> = (0..3)
            .map(|i| (read(&node, at::ALL_INSTANCES + 8 * i), read(&node, at::ALL_INSTANCES + 8 * i + 4)))
            .collect();
        assert_eq!(pairs, [(88, 5), (96, 8), (104, 1)]);
        assert_eq!(read(&node, at::FLAGS) & FLAG_FIXED_INSTANCE_SIZE, 0);
    }

    #[test]
    fn all_data_of_one_instance_have_its_size() {
        let mut node = vec![0; 100];
        write(&mut node, at::ALL_DATA, all_data_offset(1));
        write(&mut node, at::ALL_DATA + 4, 1);
        assert_eq!(complete_all_data(&mut node, 12), 72 + 12);
        assert_eq!(read(&node, at::ALL_INSTANCES), 12);
        assert_eq!(read(&node, at::FLAGS), FLAG_ALL_DATA | FLAG_FIXED_INSTANCE_SIZE);
    }

    #[test]
    fn a_buffer_that_is_too_small_says_what_is_needed() {
        let mut node = vec![0; 52];
        write(&mut node, at::FLAGS, FLAG_SINGLE_INSTANCE);
        assert_eq!(too_small(&mut node, 300), 52);
        assert_eq!(
            (read(&node, 0), read(&node, 48), read(&node, 44)),
            (52, 300, FLAG_SINGLE_INSTANCE | FLAG_TOO_SMALL)
        );
    }

    #[test]
    fn one_instance_ends_behind_its_data() {
        let mut node = vec![0; 100];
        write(&mut node, at::INSTANCE_DATA, 64);
        assert_eq!(complete_one(&mut node, at::INSTANCE_DATA, 10), 74);
        assert_eq!((read(&node, 0), read(&node, at::INSTANCE_DATA + 4)), (74, 10));
    }
}
