//! A delay line, read and written some frames at a time.

/// Most frames that the effects work on at a time: what a call of any of them costs is shared by as many frames, and
/// their rows stay in the nearest cache.
pub(crate) const CHUNK: usize = 64;

/// Below this a value is silence: it keeps recirculating values from becoming denormal numbers, which are slow.
pub(crate) const SILENCE: f32 = 1e-15;

/// Returns a value, or zero where it is too small to be heard.
#[inline(always)]
pub(crate) fn flush(x: f32) -> f32 {
    if x.abs() < SILENCE { 0.0 } else { x }
}

/// Returns whether all values are zero. It compares bits, so that the compiler can compare many at once.
#[inline(always)]
pub(crate) fn is_silent(values: &[f32]) -> bool {
    values.iter().fold(0, |bits, x| bits | x.to_bits() << 1) == 0
}

/// A ring of the last samples written.
#[derive(Clone, Debug)]
pub(crate) struct DelayLine {
    samples: Box<[f32]>,
    mask: usize,
    next: usize,
}

impl DelayLine {
    /// Makes a line that is read up to `longest` samples before the first of a chunk just written.
    pub(crate) fn new(longest: usize) -> Self {
        let length = (longest + 1 + CHUNK).next_power_of_two();
        Self { samples: vec![0.0; length].into_boxed_slice(), mask: length - 1, next: 0 }
    }

    /// Silences the line.
    pub(crate) fn clear(&mut self) {
        self.samples.fill(0.0);
    }

    /// Writes a chunk, or less.
    #[inline(always)]
    pub(crate) fn write(&mut self, values: &[f32]) {
        let copy = |to: &mut [f32], from: &[f32]| to.iter_mut().zip(from).for_each(|(to, from)| *to = flush(*from));
        let next = self.next;
        self.next = (next + values.len()) & self.mask;
        // Of a length that the compiler knows, most of the time.
        if let (Some(chunk), Some(to)) = (values.as_array::<CHUNK>(), self.samples[next..].first_chunk_mut::<CHUNK>()) {
            return copy(to, chunk);
        }
        let (before, after) = values.split_at(values.len().min(self.samples.len() - next));
        copy(&mut self.samples[next..], before);
        copy(&mut self.samples, after);
    }

    /// Reads as many as fit, the first of them what was written `delay` writes ago; 1 is the last. What is not written
    /// yet is anything.
    #[inline(always)]
    pub(crate) fn read<const COUNT: usize>(&self, delay: usize, out: &mut [f32; COUNT]) {
        let first = self.next.wrapping_sub(delay) & self.mask;
        match self.samples[first..].first_chunk::<COUNT>() {
            Some(samples) => out.copy_from_slice(samples),
            None => self.read_over_the_end(first, out),
        }
    }

    #[inline(never)]
    fn read_over_the_end(&self, first: usize, out: &mut [f32]) {
        let (before, after) = out.split_at_mut(self.samples.len() - first);
        before.copy_from_slice(&self.samples[first..]);
        after.copy_from_slice(&self.samples[..after.len()]);
    }
}
