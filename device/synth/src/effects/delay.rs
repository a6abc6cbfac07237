//! A delay line.

/// Below this a value is silence: it keeps recirculating values from becoming denormal numbers, which are slow.
const SILENCE: f32 = 1e-15;

/// A value, or zero where it is too small to matter.
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
    /// A line that can look back `longest` samples.
    pub(crate) fn new(longest: usize) -> Self {
        let length = (longest + 1).next_power_of_two();
        Self { samples: vec![0.0; length].into_boxed_slice(), mask: length - 1, next: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.samples.fill(0.0);
    }

    pub(crate) fn write(&mut self, x: f32) {
        self.samples[self.next] = flush(x);
        self.next = (self.next + 1) & self.mask;
    }

    /// What was written `delay` writes ago; 1 is the last.
    pub(crate) fn read(&self, delay: usize) -> f32 {
        self.samples[self.next.wrapping_sub(delay) & self.mask]
    }

    /// The same between two samples, by a straight line.
    pub(crate) fn read_between(&self, delay: f32) -> f32 {
        let whole = delay as usize;
        let (near, far) = (self.read(whole), self.read(whole + 1));
        near + (far - near) * (delay - whole as f32)
    }
}
