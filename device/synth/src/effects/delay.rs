//! A delay line, read and written some frames at a time.

/// Most frames that the effects work on at a time. No more than the shortest delay that is fed back, so that nothing
/// read in a chunk depends on what is written in it.
pub(crate) const CHUNK: usize = 32;

/// Below this a value is silence: it keeps recirculating values from becoming denormal numbers, which are slow.
const SILENCE: f32 = 1e-15;

/// Returns a value, or zero where it is too small to be heard.
#[inline(always)]
pub(crate) fn flush(x: f32) -> f32 {
    if x.abs() < SILENCE { 0.0 } else { x }
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

    /// Writes a chunk.
    pub(crate) fn write(&mut self, chunk: &[f32]) {
        let (before, after) = chunk.split_at(chunk.len().min(self.samples.len() - self.next));
        let copy = |to: &mut [f32], from: &[f32]| to.iter_mut().zip(from).for_each(|(to, from)| *to = flush(*from));
        copy(&mut self.samples[self.next..], before);
        copy(&mut self.samples, after);
        self.next = (self.next + chunk.len()) & self.mask;
    }

    /// Reads as many as fit in `chunk`, the first of them what was written `delay` writes ago; 1 is the last.
    pub(crate) fn read(&self, delay: usize, chunk: &mut [f32]) {
        let first = self.next.wrapping_sub(delay) & self.mask;
        let (before, after) = chunk.split_at_mut(chunk.len().min(self.samples.len() - first));
        before.copy_from_slice(&self.samples[first..first + before.len()]);
        after.copy_from_slice(&self.samples[..after.len()]);
    }

    /// Reads the value that was written so many writes ago, interpolated between two of them; 1 is the last.
    #[inline(always)]
    pub(crate) fn read_between(&self, whole: usize, fraction: f32) -> f32 {
        let at = |delay: usize| self.samples[self.next.wrapping_sub(delay) & self.mask];
        let (near, far) = (at(whole), at(whole + 1));
        near + (far - near) * fraction
    }
}
