//! MIDI 1.0 bytes as messages: running status, system-exclusive messages in chunks, real-time bytes between all others.

/// A message with the time of its first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MidiMessage {
    /// The time of its first byte.
    pub time_ns: u64,
    /// The message, its status byte first whether it was sent or not; a system-exclusive message from `F0` to `F7`.
    pub bytes: Vec<u8>,
}

/// The status byte that ends a system-exclusive message.
const END_OF_EXCLUSIVE: u8 = 0xF7;

/// Reads messages from bytes as they come.
#[derive(Clone, Debug, Default)]
pub struct MidiReader {
    messages: Vec<MidiMessage>,
    /// The message that is not complete.
    pending: Vec<u8>,
    pending_since: u64,
    /// The status byte that data bytes without one belong to; 0 for none.
    running: u8,
    /// Data bytes that belong to no message.
    stray: usize,
}

/// Returns the data bytes that a status byte is followed by; `None` for a system-exclusive message, which ends with a byte.
const fn data_bytes(status: u8) -> Option<usize> {
    match status {
        0x80..=0xBF | 0xE0..=0xEF | 0xF2 => Some(2),
        0xC0..=0xDF | 0xF1 | 0xF3 => Some(1),
        0xF0 => None,
        _ => Some(0),
    }
}

impl MidiMessage {
    /// Returns whether it has all its bytes: one that another message cut short has not.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        match self.bytes.first().map(|status| data_bytes(*status)) {
            Some(Some(data)) => self.bytes.len() == data + 1,
            Some(None) => self.bytes.last() == Some(&END_OF_EXCLUSIVE),
            None => false,
        }
    }
}

impl MidiReader {
    /// Takes bytes that came at a time.
    pub fn push(&mut self, time_ns: u64, bytes: &[u8]) {
        for &byte in bytes {
            self.take(time_ns, byte);
        }
    }

    fn take(&mut self, time_ns: u64, byte: u8) {
        match byte {
            // Real-time bytes come between the bytes of any message, and end none.
            0xF8..=0xFF => self.messages.push(MidiMessage { time_ns, bytes: vec![byte] }),
            END_OF_EXCLUSIVE if self.pending.first() == Some(&0xF0) => {
                self.pending.push(byte);
                self.complete();
            }
            END_OF_EXCLUSIVE => self.stray += 1,
            0x80.. => {
                // Any other status byte ends what came before it, complete or not.
                self.cut_short();
                self.running = if byte < 0xF0 { byte } else { 0 };
                self.pending_since = time_ns;
                self.pending.push(byte);
                self.complete_if_whole();
            }
            _ => {
                if self.pending.is_empty() {
                    if self.running == 0 {
                        self.stray += 1;
                        return;
                    }
                    self.pending_since = time_ns;
                    self.pending.push(self.running);
                }
                self.pending.push(byte);
                self.complete_if_whole();
            }
        }
    }

    fn complete_if_whole(&mut self) {
        let whole = self.pending.first().and_then(|status| data_bytes(*status)).map(|data| data + 1);
        if whole == Some(self.pending.len()) {
            self.complete();
        }
    }

    fn complete(&mut self) {
        let bytes = std::mem::take(&mut self.pending);
        self.messages.push(MidiMessage { time_ns: self.pending_since, bytes });
    }

    /// Keeps a message that another one interrupted as it is: it differs from every whole one.
    fn cut_short(&mut self) {
        if !self.pending.is_empty() {
            self.complete();
        }
    }

    /// Takes the messages that are complete.
    pub fn take_messages(&mut self) -> Vec<MidiMessage> {
        std::mem::take(&mut self.messages)
    }

    /// Returns how many data bytes belonged to no message so far.
    #[must_use]
    pub const fn stray(&self) -> usize {
        self.stray
    }

    /// Returns how many bytes the message has that is not complete.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// Drops the message that is not complete, and the running status.
    pub fn drop_pending(&mut self) {
        self.pending.clear();
        self.running = 0;
    }

    /// Returns the messages, and the number of data bytes that belong to none. What is not complete is the last one.
    #[must_use]
    pub fn finish(mut self) -> (Vec<MidiMessage>, usize) {
        self.cut_short();
        (self.messages, self.stray)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&[u8]]) -> (Vec<Vec<u8>>, usize) {
        let mut reader = MidiReader::default();
        for (number, part) in parts.iter().enumerate() {
            reader.push(number as u64, part);
        }
        let (messages, stray) = reader.finish();
        (messages.into_iter().map(|message| message.bytes).collect(), stray)
    }

    #[test]
    fn running_status_is_the_status_of_each_message() {
        let (messages, stray) = read(&[&[0x90, 60, 100, 64, 90], &[67, 80], &[0xC1, 5, 6]]);
        let expected: [&[u8]; 5] = [&[0x90, 60, 100], &[0x90, 64, 90], &[0x90, 67, 80], &[0xC1, 5], &[0xC1, 6]];
        assert_eq!((messages.as_slice(), stray), (expected.map(<[u8]>::to_vec).as_slice(), 0));
    }

    #[test]
    fn a_system_exclusive_message_may_come_in_chunks_with_real_time_bytes_between() {
        let (messages, _) = read(&[&[0xF0, 0x7E], &[0xF8, 0x7F], &[9, 1, 0xF7, 0x90, 1, 2]]);
        assert_eq!(messages, [vec![0xF8], vec![0xF0, 0x7E, 0x7F, 9, 1, 0xF7], vec![0x90, 1, 2]]);
    }

    #[test]
    fn system_messages_end_running_status_and_a_message_cut_short_stays_short() {
        let (messages, stray) = read(&[&[0x90, 1, 2, 0xF6, 3, 4, 0x91, 5, 0x92, 6, 7, 0xF0, 1]]);
        assert_eq!(messages, [vec![0x90, 1, 2], vec![0xF6], vec![0x91, 5], vec![0x92, 6, 7], vec![0xF0, 1]]);
        assert_eq!(stray, 2);
    }

    #[test]
    fn a_message_has_the_time_of_its_first_byte() {
        let mut reader = MidiReader::default();
        reader.push(10, &[0x90, 1]);
        reader.push(20, &[2, 3]);
        reader.push(30, &[4]);
        let (messages, _) = reader.finish();
        assert_eq!(messages.iter().map(|message| message.time_ns).collect::<Vec<_>>(), [10, 20]);
    }
}
