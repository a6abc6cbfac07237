//! The stack frame and the calls of each function, from its instructions.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

use crate::AuditError;
use crate::image::{Loaded, Machine};
use crate::symbols::Named;

/// A call, or a jump into another function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Callee {
    /// A function of the image, by its relative address.
    Own(u32),
    /// An import.
    Import(String),
    /// An unknown function, through a pointer: a method of a foreign object or of a trait object.
    Pointer,
}

/// A function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its names.
    pub names: Vec<String>,
    /// Most bytes of stack that it uses itself, its return address included.
    pub frame: u32,
    /// The functions that it calls.
    pub calls: BTreeSet<Callee>,
    /// A pointer to it is somewhere in the image.
    pub is_pointed_at: bool,
}

impl Function {
    /// Returns its first name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.names.first().map_or("?", String::as_str)
    }
}

/// The functions of an image and their calls.
#[derive(Debug)]
pub struct Graph {
    /// By relative address.
    pub functions: BTreeMap<u32, Function>,
    /// The entry point.
    pub entry: u32,
}

impl Graph {
    /// Reads every function's instructions.
    ///
    /// # Errors
    /// [`AuditError::NoFunctions`] when none of the functions is in the image.
    pub fn of(loaded: &Loaded, named: BTreeMap<u32, Named>) -> Result<Self, AuditError> {
        let mut pointed_at = loaded.pointed_at.clone();
        let starts: Vec<u32> = named.keys().copied().collect();
        let mut functions = BTreeMap::new();
        for (index, (start, named)) in named.into_iter().enumerate() {
            let next = starts.get(index + 1).copied().unwrap_or(u32::MAX);
            let length = if named.length != 0 { named.length } else { next - start };
            let Some(bytes) = loaded.code_at(start, length.min(next - start) as usize) else { continue };
            let mut reader = Reader::new(loaded, start);
            reader.read(bytes, &starts);
            pointed_at.extend(reader.addresses);
            let frame = match loaded.image.machine {
                // The unwind information is exact; a function without any has no frame.
                Machine::X64 => loaded.frames.get(&start).copied().unwrap_or(0) + 8,
                Machine::X86 => reader.deepest + 4,
            };
            let function = Function { names: named.names, frame, calls: reader.calls, is_pointed_at: false };
            functions.insert(start, function);
        }
        for (start, function) in &mut functions {
            function.is_pointed_at = pointed_at.contains(start);
        }
        if functions.is_empty() { Err(AuditError::NoFunctions) } else { Ok(Self { functions, entry: loaded.entry }) }
    }

    /// Returns the name of the function that begins at an address.
    #[must_use]
    pub fn name_of(&self, address: u32) -> &str {
        self.functions.get(&address).map_or("?", Function::name)
    }
}

/// Reads one function.
struct Reader<'a> {
    loaded: &'a Loaded,
    start: u32,
    calls: BTreeSet<Callee>,
    /// Addresses that it computes: of functions, maybe.
    addresses: BTreeSet<u32>,
    /// Bytes pushed after its prologue, which a call takes with it.
    pushed: u32,
    /// Bytes of its prologue.
    base: u32,
    in_prologue: bool,
    deepest: u32,
}

impl<'a> Reader<'a> {
    const fn new(loaded: &'a Loaded, start: u32) -> Self {
        Self {
            loaded,
            start,
            calls: BTreeSet::new(),
            addresses: BTreeSet::new(),
            pushed: 0,
            base: 0,
            in_prologue: true,
            deepest: 0,
        }
    }

    fn read(&mut self, bytes: &[u8], starts: &[u32]) {
        let is_wide = self.loaded.image.machine == Machine::X64;
        let address = self.loaded.base + u64::from(self.start);
        let mut decoder = Decoder::with_ip(if is_wide { 64 } else { 32 }, bytes, address, DecoderOptions::NONE);
        let inside = self.start..self.start + bytes.len() as u32;
        let mut instruction = Instruction::default();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            if instruction.code() == Code::INVALID {
                // A table in the code, or padding.
                continue;
            }
            self.track_stack(&instruction);
            self.note_address(&instruction, starts);
            match instruction.flow_control() {
                FlowControl::Call => self.note_call(&instruction),
                FlowControl::IndirectCall => self.note_indirect(&instruction, true),
                FlowControl::IndirectBranch => self.note_indirect(&instruction, false),
                FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
                    let target = self.relative(instruction.near_branch_target());
                    if !inside.contains(&target) || target == self.start {
                        _ = self.calls.insert(Callee::Own(target));
                    }
                }
                _ => {}
            }
        }
    }

    fn relative(&self, address: u64) -> u32 {
        u32::try_from(address.wrapping_sub(self.loaded.base)).unwrap_or(u32::MAX)
    }

    fn note_call(&mut self, instruction: &Instruction) {
        let target = self.relative(instruction.near_branch_target());
        self.calls.insert(Callee::Own(target));
        self.after_call();
    }

    fn note_indirect(&mut self, instruction: &Instruction, is_call: bool) {
        let from_memory = instruction.op0_kind() == OpKind::Memory
            && matches!(instruction.memory_base(), Register::RIP | Register::None)
            && instruction.memory_index() == Register::None;
        let import = from_memory
            .then(|| self.loaded.pointers.get(&self.relative(instruction.memory_displacement64())))
            .flatten();
        match import {
            Some(name) => _ = self.calls.insert(Callee::Import(name.clone())),
            None if is_call => _ = self.calls.insert(Callee::Pointer),
            // A jump by a table stays in the function; one through a register or an object leaves it.
            None if instruction.op0_kind() == OpKind::Memory && instruction.memory_index() == Register::None => {
                _ = self.calls.insert(Callee::Pointer);
            }
            None => {}
        }
        if is_call {
            self.after_call();
        }
    }

    /// Functions clean up after themselves, or their callers do at once: after a call only the prologue is left.
    const fn after_call(&mut self) {
        self.pushed = 0;
        self.in_prologue = false;
    }

    /// Where an instruction has the address of a function in it.
    fn note_address(&mut self, instruction: &Instruction, starts: &[u32]) {
        let address = match instruction.mnemonic() {
            Mnemonic::Lea if instruction.memory_base() == Register::RIP => instruction.memory_displacement64(),
            Mnemonic::Mov | Mnemonic::Push if self.loaded.image.machine == Machine::X86 => {
                u64::from(instruction.immediate32())
            }
            _ => return,
        };
        let address = self.relative(address);
        if starts.binary_search(&address).is_ok() {
            self.addresses.insert(address);
        }
    }

    /// On x86: how deep the stack gets. Arguments are pushed right before the call that takes them.
    fn track_stack(&mut self, instruction: &Instruction) {
        let own = |register: Register| matches!(register, Register::ESP | Register::RSP);
        let immediate = || u32::try_from(instruction.immediate(1)).unwrap_or(0);
        match instruction.mnemonic() {
            Mnemonic::Push if self.in_prologue && instruction.op0_kind() == OpKind::Register => self.base += 4,
            Mnemonic::Push => {
                self.in_prologue = false;
                self.pushed += 4;
            }
            Mnemonic::Sub if own(instruction.op0_register()) && instruction.op1_kind() != OpKind::Register => {
                self.base += immediate();
                self.in_prologue = false;
            }
            // Alignment of the stack, at most to a cache line.
            Mnemonic::And if own(instruction.op0_register()) => self.base += 64,
            Mnemonic::Add if own(instruction.op0_register()) => self.pushed = 0,
            Mnemonic::Mov if own(instruction.op1_register()) => {}
            _ => {}
        }
        self.deepest = self.deepest.max(self.base + self.pushed);
    }
}
