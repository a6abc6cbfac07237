//! Loading images that a small builder makes here.

mod headers;

use alloc::string::ToString;

use super::*;

const BASE: u64 = 0x1_4000_0000;
const TEXT: u32 = 0x1000;
const DATA: u32 = 0x2000;
const FILE_ALIGNMENT: usize = 0x200;

/// Where the pieces of `.data` are, from its start.
mod at {
    pub(super) const POINTER: u32 = 0;
    pub(super) const COOKIE: u32 = 8;
    pub(super) const LOAD_CONFIG: u32 = 0x10;
    pub(super) const IMPORTS: u32 = 0x100;
    pub(super) const LOOKUP: u32 = 0x140;
    pub(super) const ADDRESSES: u32 = 0x160;
    pub(super) const NAMES: u32 = 0x180;
    pub(super) const RELOCATIONS: u32 = 0x1c0;
}

/// A driver image: `.text`, and `.data` with a pointer into itself, a load configuration, two imports and relocations.
struct Builder {
    file: Vec<u8>,
}

impl Builder {
    fn new() -> Self {
        let mut builder = Self { file: vec![0; 3 * FILE_ALIGNMENT] };
        builder.headers();
        builder.data();
        builder
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) -> &mut Self {
        self.file[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn u16(&mut self, offset: usize, value: u16) -> &mut Self {
        self.put(offset, &value.to_le_bytes())
    }

    fn u32(&mut self, offset: usize, value: u32) -> &mut Self {
        self.put(offset, &value.to_le_bytes())
    }

    fn u64(&mut self, offset: usize, value: u64) -> &mut Self {
        self.put(offset, &value.to_le_bytes())
    }

    /// Offset of the optional header: the DOS header is 64 bytes, signature and file header 24.
    const OPTIONAL: usize = 0x40 + 24;
    /// Offset of the section table.
    const SECTIONS: usize = Self::OPTIONAL + 240;

    fn headers(&mut self) {
        self.put(0, b"MZ").u32(0x3c, 0x40).put(0x40, b"PE\0\0");
        self.u16(0x44, 0x8664).u16(0x46, 2).u16(0x54, 240).u16(0x56, 0x22);
        let o = Self::OPTIONAL;
        self.u16(o, 0x20b).u32(o + 16, TEXT).u64(o + 24, BASE).u32(o + 32, 0x1000).u32(o + 36, FILE_ALIGNMENT as u32);
        self.u32(o + 56, 0x3000).u32(o + 60, FILE_ALIGNMENT as u32).u16(o + 68, 1).u32(o + 108, 16);
        for (directory, address, bytes) in
            [(1, DATA + at::IMPORTS, 40), (5, DATA + at::RELOCATIONS, 12), (10, DATA + at::LOAD_CONFIG, 0x60)]
        {
            self.u32(o + 112 + 8 * directory, address).u32(o + 116 + 8 * directory, bytes);
        }
        let sections = [(b".text\0\0\0", TEXT, 0x200, 0x6000_0020), (b".data\0\0\0", DATA, 0x400, 0xc000_0040u32)];
        for (index, (name, address, raw, flags)) in sections.into_iter().enumerate() {
            let s = Self::SECTIONS + 40 * index;
            self.put(s, name)
                .u32(s + 8, 0x200)
                .u32(s + 12, address)
                .u32(s + 16, 0x200)
                .u32(s + 20, raw)
                .u32(s + 36, flags);
        }
    }

    fn in_data(offset: u32) -> usize {
        2 * FILE_ALIGNMENT + offset as usize
    }

    fn data(&mut self) {
        let d = Self::in_data;
        self.u64(d(at::POINTER), BASE + 0x2010);
        self.u64(d(at::COOKIE), 0x2b99_2ddf_a232);
        self.u32(d(at::LOAD_CONFIG), 0x60)
            .u64(d(at::LOAD_CONFIG) + LOAD_CONFIG_COOKIE, BASE + u64::from(DATA + at::COOKIE));
        self.u32(d(at::IMPORTS), DATA + at::LOOKUP)
            .u32(d(at::IMPORTS) + 12, DATA + at::NAMES)
            .u32(d(at::IMPORTS) + 16, DATA + at::ADDRESSES);
        for table in [at::LOOKUP, at::ADDRESSES] {
            self.u64(d(table), u64::from(DATA + at::NAMES + 0x10)).u64(d(table) + 8, 1 << 63 | 7);
        }
        self.put(d(at::NAMES), b"NTOSKRNL.exe\0").put(d(at::NAMES) + 0x12, b"DbgPrint\0");
        // The pointer and the load configuration's, then padding.
        self.u32(d(at::RELOCATIONS), DATA).u32(d(at::RELOCATIONS) + 4, 12);
        self.u16(d(at::RELOCATIONS) + 8, 0xa000 | at::POINTER as u16)
            .u16(d(at::RELOCATIONS) + 10, 0xa000 | (at::LOAD_CONFIG + LOAD_CONFIG_COOKIE as u32) as u16);
    }

    fn error(&self) -> String {
        DriverImage::parse(&self.file).err().expect("the image is refused").to_string()
    }
}

fn word(memory: &[u8], offset: u32) -> u64 {
    u64::from_le_bytes(memory[offset as usize..][..8].try_into().unwrap())
}

#[test]
fn imports_are_listed_by_name_and_ordinal() {
    let builder = Builder::new();
    let imports = DriverImage::parse(&builder.file).unwrap().imports().unwrap();
    let import = |name: &str, slot| Import { module: "ntoskrnl.exe".into(), name: name.into(), slot };
    assert_eq!(imports, [import("DbgPrint", DATA + at::ADDRESSES), import("#7", DATA + at::ADDRESSES + 8)]);
}

#[test]
fn an_image_is_relocated_bound_and_given_a_cookie() {
    let builder = Builder::new();
    let image = DriverImage::parse(&builder.file).unwrap();
    let loaded = 0xffff_f800_1000_0000;
    let memory = image.lay_out(loaded, 0x1234_5678, |import| Some(if import.name == "#7" { 7 } else { 42 })).unwrap();
    assert_eq!(memory.len() as u32, image.size());
    assert_eq!(word(&memory, DATA + at::POINTER), loaded + 0x2010);
    assert_eq!(word(&memory, DATA + at::ADDRESSES), 42);
    assert_eq!(word(&memory, DATA + at::ADDRESSES + 8), 7);
    assert_eq!(word(&memory, DATA + at::COOKIE), 0x1234_5678);
}

#[test]
fn refuses_an_import_that_no_module_exports() {
    let builder = Builder::new();
    let image = DriverImage::parse(&builder.file).unwrap();
    assert_eq!(image.lay_out(BASE, 1, |_| None), Err(ImageError::Unresolved("ntoskrnl.exe".into(), "DbgPrint".into())));
}

#[test]
fn sections_keep_their_protection() {
    let builder = Builder::new();
    let image = DriverImage::parse(&builder.file).unwrap();
    let [text, data] = image.sections() else { panic!("two sections") };
    assert_eq!((text.range.clone(), text.write, text.execute), (TEXT..DATA, false, true));
    assert_eq!((data.range.clone(), data.write, data.execute), (DATA..0x3000, true, false));
}

#[test]
fn refuses_a_file_that_is_no_driver_with_the_reason() {
    let o = Builder::OPTIONAL;
    let changed = |change: &dyn Fn(&mut Builder)| {
        let mut builder = Builder::new();
        change(&mut builder);
        builder.error()
    };
    assert!(
        changed(&|b| {
            b.put(0, b"ZM");
        })
        .contains("no PE32+ image")
    );
    assert!(
        changed(&|b| {
            b.u16(0x44, 0x14c);
        })
        .contains("0x014c")
    );
    assert!(
        changed(&|b| {
            b.u16(o + 68, 3);
        })
        .contains("/SUBSYSTEM:NATIVE")
    );
    assert!(
        changed(&|b| {
            b.u16(0x56, 0x23);
        })
        .contains("no base relocations")
    );
    assert!(
        changed(&|b| {
            b.u32(o + 16, 0);
        })
        .contains("entry point")
    );
    assert!(
        changed(&|b| {
            b.u32(o + 56, u32::MAX);
        })
        .contains("SizeOfImage")
    );
    assert!(
        changed(&|b| {
            b.u32(o + 32, 0x20);
        })
        .contains("SectionAlignment")
    );
    assert!(
        changed(&|b| {
            b.u32(Builder::SECTIONS + 40 + 12, TEXT);
        })
        .contains("overlaps")
    );
}

#[test]
fn every_truncation_of_a_file_is_refused_or_loads_within_bounds() {
    let whole = Builder::new().file;
    for length in 0..whole.len() {
        if let Ok(image) = DriverImage::parse(&whole[..length]) {
            // Whatever it answers, it does not panic.
            let _ = image.lay_out(BASE, 1, |_| Some(1));
        }
    }
}

#[test]
fn a_relocation_outside_the_image_is_refused() {
    let mut builder = Builder::new();
    builder.u32(Builder::in_data(at::RELOCATIONS), 0x7fff_f000);
    let image = DriverImage::parse(&builder.file).unwrap();
    assert!(matches!(image.lay_out(BASE + 0x1000, 1, |_| Some(1)), Err(ImageError::Bounds(_))));
}
