//! An image loads wherever a kernel puts it, and what a kernel would refuse is refused.

use std::collections::BTreeMap;

use driver_audit::load::{LoadError, Placed, load, unmoved};
use driver_audit::symbols::Named;

/// The image's preferred base, and the base at which it is loaded.
const WANTED: u32 = 0x40_0000;
const BASE: u64 = 0x8f40_0000;

/// Where the kernel has the one function that the image imports.
const FUNCTION: u64 = 0x8040_1230;

/// The relative addresses of its sections: code, imports, relocations.
const CODE: u32 = 0x1000;
const IMPORTS: u32 = 0x2000;
const RELOCATIONS: u32 = 0x3000;
const IMAGE_BYTES: u32 = 0x4000;

/// A driver for 32-bit Windows as small as they come: `mov eax, [function]` with the function's place by its address,
/// and
/// `mov ecx, address`.
struct Driver {
    subsequent_code: u32,
    code_flags: u32,
    /// Offsets in the code of what is relocated.
    relocated: Vec<u16>,
    kind: u16,
    entry: u32,
    import: &'static str,
    address: u32,
}

impl Default for Driver {
    fn default() -> Self {
        Self {
            subsequent_code: IMPORTS,
            code_flags: 0x6000_0020,
            relocated: vec![1, 6],
            kind: 3,
            entry: CODE,
            import: "KeClearEvent",
            address: WANTED + CODE,
        }
    }
}

impl Driver {
    fn file(&self) -> Vec<u8> {
        let mut file = vec![0; 0x400];
        let put = |file: &mut Vec<u8>, at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        let word = |file: &mut Vec<u8>, at: usize, value: u32| file[at..at + 4].copy_from_slice(&value.to_le_bytes());
        put(&mut file, 0, b"MZ");
        word(&mut file, 0x3c, 0x80);
        put(&mut file, 0x80, b"PE\0\0");
        // The file header: x86, three sections, an optional header of 224 bytes, executable.
        put(&mut file, 0x84, &0x14c_u16.to_le_bytes());
        put(&mut file, 0x86, &3_u16.to_le_bytes());
        put(&mut file, 0x94, &224_u16.to_le_bytes());
        put(&mut file, 0x96, &0x102_u16.to_le_bytes());
        let optional = 0x98;
        put(&mut file, optional, &0x10b_u16.to_le_bytes());
        word(&mut file, optional + 16, self.entry);
        word(&mut file, optional + 28, WANTED);
        word(&mut file, optional + 32, 0x1000);
        word(&mut file, optional + 36, 0x200);
        word(&mut file, optional + 56, IMAGE_BYTES);
        word(&mut file, optional + 60, 0x400);
        put(&mut file, optional + 68, &1_u16.to_le_bytes());
        word(&mut file, optional + 92, 16);
        for (directory, at, bytes) in [(1, IMPORTS, 40), (5, RELOCATIONS, 8 + 2 * 2)] {
            word(&mut file, optional + 96 + 8 * directory, at);
            word(&mut file, optional + 100 + 8 * directory, bytes);
        }
        let sections = [
            (b".text\0\0\0", CODE, self.code_flags),
            (b".idata\0\0", self.subsequent_code, 0xc000_0040),
            (b".reloc\0\0", RELOCATIONS, 0x4200_0040),
        ];
        for (number, (name, at, flags)) in sections.into_iter().enumerate() {
            let header = optional + 224 + 40 * number;
            put(&mut file, header, name);
            word(&mut file, header + 8, 0x200);
            word(&mut file, header + 12, at);
            word(&mut file, header + 16, 0x200);
            word(&mut file, header + 20, 0x400 + 0x200 * number as u32);
            word(&mut file, header + 36, flags);
        }
        let mut code = vec![0xa1];
        code.extend((WANTED + IMPORTS + 0x40).to_le_bytes());
        code.push(0xb9);
        code.extend(self.address.to_le_bytes());
        code.resize(0x200, 0xc3);
        file.extend(code);

        let mut imports = vec![0; 0x200];
        for (at, value) in [(0, IMPORTS + 0x50), (12, IMPORTS + 0x80), (16, IMPORTS + 0x40)] {
            imports[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        for at in [0x40, 0x50] {
            imports[at..at + 4].copy_from_slice(&(IMPORTS + 0x60).to_le_bytes());
        }
        imports[0x62..0x62 + self.import.len()].copy_from_slice(self.import.as_bytes());
        imports[0x80..0x8c].copy_from_slice(b"ntoskrnl.exe");
        file.extend(imports);

        let mut relocations = CODE.to_le_bytes().to_vec();
        relocations.extend(12_u32.to_le_bytes());
        let mut entries = self.relocated.iter().map(|offset| self.kind << 12 | offset).collect::<Vec<_>>();
        entries.resize(2, 0);
        relocations.extend(entries.into_iter().flat_map(u16::to_le_bytes));
        relocations.resize(0x200, 0);
        file.extend(relocations);
        file
    }

    fn load(&self) -> Result<Placed, LoadError> {
        load(&self.file(), BASE, |module, name| {
            ((module, name) == ("ntoskrnl.exe", "KeClearEvent")).then_some(FUNCTION)
        })
    }
}

fn word(placed: &Placed, at: u32) -> u64 {
    u32::from_le_bytes(placed.memory[at as usize..at as usize + 4].try_into().unwrap()).into()
}

#[test]
fn relocates_addresses_and_binds_imports() {
    let placed = Driver::default().load().unwrap();
    assert_eq!(placed.entry, BASE + u64::from(CODE));
    assert_eq!(word(&placed, CODE + 1), BASE + u64::from(IMPORTS) + 0x40);
    assert_eq!(word(&placed, CODE + 6), BASE + u64::from(CODE));
    assert_eq!(word(&placed, IMPORTS + 0x40), FUNCTION);
    assert_eq!(placed.bound, [(IMPORTS + 0x40, "ntoskrnl.exe!KeClearEvent".to_owned())]);
}

#[test]
fn refuses_what_a_kernel_refuses() {
    let section = |what| LoadError::Section { name: ".text".into(), what };
    let refused = |driver: Driver| driver.load().unwrap_err();
    assert_eq!(
        refused(Driver { code_flags: 0xe000_0020, ..Driver::default() }),
        section("it can be both written and executed")
    );
    assert!(matches!(refused(Driver { subsequent_code: 0x1800, ..Driver::default() }), LoadError::Section { .. }));
    assert_eq!(
        refused(Driver { entry: IMPORTS, ..Driver::default() }),
        LoadError::Header("the entry point is not in code".into())
    );
    assert_eq!(
        refused(Driver { import: "KeClearEvents", ..Driver::default() }),
        LoadError::Import("ntoskrnl.exe!KeClearEvents".into())
    );
    assert_eq!(
        refused(Driver { kind: 10, ..Driver::default() }),
        LoadError::Relocation { at: CODE + 1, what: "is of a kind that this processor does not have" }
    );
    assert_eq!(
        refused(Driver { address: WANTED + IMAGE_BYTES + 1, ..Driver::default() }),
        LoadError::Relocation { at: CODE + 6, what: "leads out of the image" }
    );
    let cut = &Driver::default().file()[..0x500];
    assert!(matches!(load(cut, BASE, |_, _| Some(FUNCTION)), Err(LoadError::Unreadable(_))));
    let high = load(&Driver::default().file(), 0xffff_f000, |_, _| Some(FUNCTION));
    assert_eq!(high, Err(LoadError::Header("it cannot be loaded at that address".into())));
}

#[test]
fn finds_an_address_in_the_code_that_is_not_relocated() {
    let functions = BTreeMap::from([(CODE, Named { names: vec!["entry".into()], length: 11 })]);
    let find = |relocated: Vec<u16>| unmoved(&Driver { relocated, ..Driver::default() }.file(), &functions).unwrap();
    assert_eq!(find(vec![1, 6]), []);
    assert_eq!(find(vec![1]), [CODE + 5]);
    assert_eq!(find(vec![6]), [CODE]);
}
