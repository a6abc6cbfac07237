//! What BAR 0 must read as, and which accesses must be diagnosed: the datasheet, [`card_spec::registers`], once more, written from
//! the driver's side.

use card_spec::diagnosis::Diagnosis;
use card_spec::feature;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::QUEUE_COUNT;
use card_spec::registers::{
    Access, CAUSE_DIAGNOSED, COMMON, DEVICE, DEVICE_BYTES, DIAGNOSIS_CODE_SHIFT, DIAGNOSIS_LATCHED, FILE, FILE_BYTES,
    IDENT_VALUE, ISR, NO_VECTOR, NOTIFY, NOTIFY_BYTES, NOTIFY_MULTIPLIER, REGISTERS, Register, VECTORS, common,
    device_status as status, file,
};
use card_spec::{ABI_MAJOR, ABI_MINOR};

use super::super::guest::FEATURES;

/// What a read must return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// This.
    Value(u32),
    /// All ones: no register takes the access.
    Ones,
    /// These bytes of the identity block.
    Identity(usize),
    /// The generation of the identity block.
    Generation,
    /// The word of the register file at this offset, as the card counts, times and diagnoses.
    Word {
        /// The offset.
        at: u32,
        /// It is a high word that was latched when the low word was read.
        latched: bool,
    },
    /// The state, which rings decide too.
    State,
    /// A first error is latched, or none.
    Diagnosis,
    /// The cause, while the card may find errors and interrupt by itself.
    Cause,
    /// Nothing but these bits.
    Within(u32),
}

/// A queue, as the driver has described it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Described {
    size: u32,
    addresses: [u64; 3],
    vector: u16,
    pub(super) enabled: bool,
}

impl Described {
    const NEW: Self = Self { size: QUEUE_SIZE_MAX as u32, addresses: [0; 3], vector: NO_VECTOR, enabled: false };
}

/// The model.
pub(super) struct Model {
    device_feature_select: u32,
    driver_feature_select: u32,
    driver_features: u64,
    configuration_vector: u16,
    status: u8,
    queue_select: u16,
    pub(super) queues: [Described; QUEUE_COUNT],
    scratch: u32,
    /// The offset in the register file whose high word is latched.
    latch: Option<u32>,
    /// Errors since the cause was cleared; `None` while the card may find some by itself.
    diagnosed: Option<bool>,
    /// The code of the first error; `None` while the card may find some by itself.
    first: Option<Diagnosis>,
    /// Bus mastering is on.
    pub(super) bus_master: bool,
}

impl Model {
    /// Returns the model after power-on, when the card's first error is this.
    pub(super) const fn new(first: Diagnosis) -> Self {
        Self {
            device_feature_select: 0,
            driver_feature_select: 0,
            driver_features: 0,
            configuration_vector: NO_VECTOR,
            status: 0,
            queue_select: 0,
            queues: [Described::NEW; QUEUE_COUNT],
            scratch: 0,
            latch: None,
            diagnosed: Some(false),
            first: Some(first),
            bus_master: false,
        }
    }

    /// Returns to the state after power-on. `first` is the first error, which stays until rings start again; `quiet` says that the
    /// card has found none since the reset.
    pub(super) fn reset(&mut self, first: Diagnosis, quiet: bool) {
        *self = Self { bus_master: self.bus_master, diagnosed: quiet.then_some(false), ..Self::new(first) };
    }

    /// Returns whether the driver is up, so that the card works by itself.
    pub(super) const fn is_up(&self) -> bool {
        self.status & status::DRIVER_OK != 0
    }

    /// Finds the register that takes an access.
    fn register(offset: u64, width: usize) -> Option<&'static Register> {
        REGISTERS.iter().find(|register| u64::from(register.offset) == offset && usize::from(register.width) == width)
    }

    /// Returns where in the identity block an access is, if it takes it.
    fn identity(offset: u64, width: usize) -> Option<usize> {
        let at = offset.checked_sub(DEVICE.into())?;
        let fits = matches!(width, 1 | 2 | 4) && at.is_multiple_of(width as u64);
        (fits && at + width as u64 <= u64::from(DEVICE_BYTES)).then_some(at as usize)
    }

    fn diagnose(&mut self, codes: &[Diagnosis]) {
        if let Some(code) = codes.first() {
            self.diagnosed = self.diagnosed.map(|_| true);
            if self.first == Some(Diagnosis::NONE) {
                self.first = Some(*code);
            }
        }
    }

    /// Reads, and returns what must come of it, and the error that must be diagnosed.
    pub(super) fn read(&mut self, offset: u64, width: usize) -> (Expected, Vec<Diagnosis>) {
        if let Some(at) = Self::identity(offset, width) {
            return (Expected::Identity(at), Vec::new());
        }
        let Some(register) = Self::register(offset, width) else {
            let codes = vec![Diagnosis::REGISTER_ACCESS];
            self.diagnose(&codes);
            return (Expected::Ones, codes);
        };
        let at = register.offset;
        let expected = if at < COMMON + card_spec::registers::COMMON_BYTES {
            self.read_common(at - COMMON)
        } else if at == ISR {
            if self.is_up() { Expected::Within(1) } else { Expected::Value(0) }
        } else if (NOTIFY..NOTIFY + NOTIFY_BYTES).contains(&at) {
            Expected::Value(0)
        } else {
            assert!((FILE..FILE + FILE_BYTES).contains(&at), "{} is in an area", register.name);
            self.read_file(at - FILE)
        };
        (expected, Vec::new())
    }

    fn read_common(&self, at: u32) -> Expected {
        let half = |features: u64, select: u32| match select {
            0 => features as u32,
            1 => (features >> 32) as u32,
            _ => 0,
        };
        let queue = self.queues.get(usize::from(self.queue_select));
        let word = |part: usize, shift: u32| queue.map_or(0, |queue| (queue.addresses[part] >> shift) as u32);
        Expected::Value(match at {
            common::DEVICE_FEATURE_SELECT => self.device_feature_select,
            common::DEVICE_FEATURE => half(FEATURES, self.device_feature_select),
            common::DRIVER_FEATURE_SELECT => self.driver_feature_select,
            common::DRIVER_FEATURE => half(self.driver_features, self.driver_feature_select),
            common::CONFIG_MSIX_VECTOR => self.configuration_vector.into(),
            common::NUM_QUEUES => QUEUE_COUNT as u32,
            common::DEVICE_STATUS => self.status.into(),
            common::CONFIG_GENERATION => return Expected::Generation,
            common::QUEUE_SELECT => self.queue_select.into(),
            common::QUEUE_SIZE => queue.map_or(0, |queue| queue.size),
            common::QUEUE_MSIX_VECTOR => queue.map_or(NO_VECTOR, |queue| queue.vector).into(),
            common::QUEUE_ENABLE => queue.is_some_and(|queue| queue.enabled).into(),
            common::QUEUE_NOTIFY_OFF | common::QUEUE_NOTIFY_DATA => queue.map_or(0, |_| self.queue_select.into()),
            0x20..0x38 => word((at as usize - 0x20) / 8, if at.is_multiple_of(8) { 0 } else { 32 }),
            // `queue_reset`.
            _ => 0,
        })
    }

    fn read_file(&mut self, at: u32) -> Expected {
        let latched = self.latch.take().is_some_and(|place| place == at);
        // The low words of numbers.
        let wide = (file::ERROR + 0x10..file::ERROR + 0x20).contains(&at) || at >= file::COUNTERS;
        if latched {
            self.latch = Some(at);
        } else if wide && at.is_multiple_of(8) {
            self.latch = Some(at + 4);
        }
        match at {
            file::IDENT => Expected::Value(IDENT_VALUE),
            file::VERSION => Expected::Value(u32::from(ABI_MAJOR) << 16 | u32::from(ABI_MINOR)),
            file::STATE => Expected::State,
            file::SCRATCH => Expected::Value(self.scratch),
            file::CAUSE => match self.diagnosed {
                Some(diagnosed) => Expected::Value(if diagnosed { CAUSE_DIAGNOSED } else { 0 }),
                None => Expected::Cause,
            },
            file::DIAGNOSIS => match self.first {
                Some(Diagnosis::NONE) => Expected::Value(0),
                Some(code) => Expected::Value(u32::from(code.0) << DIAGNOSIS_CODE_SHIFT | DIAGNOSIS_LATCHED),
                None => Expected::Diagnosis,
            },
            _ => Expected::Word { at, latched },
        }
    }

    /// Writes, and returns the errors that must be diagnosed, and whether the device is reset.
    pub(super) fn write(&mut self, offset: u64, width: usize, value: u32) -> (Vec<Diagnosis>, bool) {
        let mut reset = false;
        let codes = if Self::identity(offset, width).is_some() {
            vec![Diagnosis::CONFIG_WRITE]
        } else if let Some(register) = Self::register(offset, width) {
            match register.access {
                Access::ReadOnly | Access::ReadClears => vec![Diagnosis::REGISTER_READ_ONLY],
                _ => self.write_register(register.offset, value, &mut reset),
            }
        } else {
            vec![Diagnosis::REGISTER_ACCESS]
        };
        self.diagnose(&codes);
        (codes, reset)
    }

    fn write_register(&mut self, offset: u32, value: u32, reset: &mut bool) -> Vec<Diagnosis> {
        if let Some(at) = offset.checked_sub(NOTIFY).filter(|at| *at < NOTIFY_BYTES) {
            return self.notify(at / NOTIFY_MULTIPLIER, value);
        }
        if let Some(at) = offset.checked_sub(FILE) {
            match at {
                file::SCRATCH => self.scratch = value,
                file::CAUSE if value & CAUSE_DIAGNOSED != 0 => self.diagnosed = self.diagnosed.map(|_| false),
                file::DIAGNOSIS if value & DIAGNOSIS_LATCHED != 0 => self.first = self.first.map(|_| Diagnosis::NONE),
                _ => {}
            }
            return Vec::new();
        }
        let takes = |taken: bool| if taken { Vec::new() } else { vec![Diagnosis::REGISTER_VALUE] };
        let vector = |value: u32| {
            let vector = value as u16;
            if vector < VECTORS { vector } else { NO_VECTOR }
        };
        let is_vector = value < u32::from(VECTORS) || value == u32::from(NO_VECTOR);
        match offset - COMMON {
            common::DEVICE_FEATURE_SELECT => self.device_feature_select = value,
            common::DRIVER_FEATURE_SELECT => self.driver_feature_select = value,
            common::DRIVER_FEATURE => return takes(self.accept(value)),
            common::QUEUE_SELECT => self.queue_select = value as u16,
            common::CONFIG_MSIX_VECTOR => {
                self.configuration_vector = vector(value);
                return takes(is_vector);
            }
            common::DEVICE_STATUS => return self.write_status(value as u8, reset),
            at => {
                let Some(queue) = self.queues.get_mut(usize::from(self.queue_select)) else { return takes(false) };
                match at {
                    common::QUEUE_MSIX_VECTOR => {
                        queue.vector = vector(value);
                        return takes(is_vector);
                    }
                    common::QUEUE_ENABLE => {
                        let taken = value == 1 && !queue.enabled;
                        queue.enabled |= taken;
                        return takes(taken);
                    }
                    _ if queue.enabled => return takes(false),
                    common::QUEUE_SIZE => queue.size = value,
                    at => {
                        let address = &mut queue.addresses[(at as usize - 0x20) / 8];
                        let (keep, shift) =
                            if at.is_multiple_of(8) { (u64::MAX << 32, 0) } else { (u32::MAX.into(), 32) };
                        *address = *address & keep | u64::from(value) << shift;
                    }
                }
            }
        }
        Vec::new()
    }

    fn accept(&mut self, value: u32) -> bool {
        let shift = match self.driver_feature_select {
            0 => 0,
            1 => 32,
            _ => return value == 0,
        };
        if self.status & status::FEATURES_OK != 0 {
            return false;
        }
        let others = u64::MAX << 32 >> shift;
        self.driver_features = self.driver_features & others | u64::from(value) << shift;
        true
    }

    fn write_status(&mut self, value: u8, reset: &mut bool) -> Vec<Diagnosis> {
        if value == 0 {
            *reset = true;
            return Vec::new();
        }
        let mut codes = Vec::new();
        if self.status & !value & !status::NEEDS_RESET != 0 {
            codes.push(Diagnosis::REGISTER_VALUE);
        }
        let mut added = value & !self.status & !status::NEEDS_RESET;
        if added & status::FEATURES_OK != 0 {
            let wrong = if self.driver_features & !FEATURES != 0 {
                Some(Diagnosis::REGISTER_VALUE)
            } else if self.driver_features & feature::VERSION_1 == 0 {
                Some(Diagnosis::VERSION_1_MISSING)
            } else {
                None
            };
            if let Some(code) = wrong {
                codes.push(code);
                added &= !status::FEATURES_OK;
            }
        }
        if added & status::DRIVER_OK != 0 && (self.status | added) & status::FEATURES_OK == 0 {
            codes.push(Diagnosis::REGISTER_VALUE);
            added &= !status::DRIVER_OK;
        }
        self.status |= added;
        if added & status::DRIVER_OK != 0 {
            // From now on the card finds errors, and interrupts, by itself.
            (self.diagnosed, self.first) = (None, None);
        }
        codes
    }

    fn notify(&self, queue: u32, value: u32) -> Vec<Diagnosis> {
        let mut codes = Vec::new();
        if value != queue {
            codes.push(Diagnosis::REGISTER_VALUE);
        }
        let enabled = self.queues.get(queue as usize).is_some_and(|queue| queue.enabled);
        if !(enabled && self.is_up()) {
            codes.push(Diagnosis::QUEUE_NOT_READY);
        }
        codes
    }
}
