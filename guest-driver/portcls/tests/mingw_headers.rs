//! The crate agrees with the public mingw-w64 DDK headers on every size, offset, slot and GUID that both have.
//!
//! The headers are for Windows, whose 32-bit programs cannot run here. So nothing runs: a probe is compiled for both
//! pointer widths, and the values are read back from the constants in its object files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use object::{Object, ObjectSection, ObjectSymbol};
use portcls::layout::Figure;
use portcls::{guid, interface, layout};

/// Structures of `dmusprop.h`, which mingw-w64 has not got at all.
const STRUCTURES_NOT_IN_HEADERS: &[&str] = &[
    "SYNTHCAPS",
    "SYNTH_PORTPARAMS",
    "SYNTH_STATS",
    "SYNTH_BUFFER",
    "SYNTHDOWNLOAD",
    "SYNTHVOICEPRIORITY_INSTANCE",
    "SYNTH_REVERB_PARAMS",
];

/// Interfaces that mingw-w64's `portcls.h` and `dmusicks.h` have not got.
const INTERFACES_NOT_IN_HEADERS: &[&str] =
    &["IMusicTechnology", "ISynthSinkDMus", "IAdapterPnpManagement", "IMiniportPnpNotify"];

/// GUIDs, besides all of [`guid::DIRECTMUSIC`], that mingw-w64 does not define at its default level (Windows 10): those
/// of interfaces that it has not got, one that it declares without a value, and some that are older than Vista.
const GUIDS_NOT_IN_HEADERS: &[&str] = &[
    "IID_IMXF",
    "IID_ISynthSinkDMus",
    "IID_IMusicTechnology",
    "IID_IPreFetchOffset",
    "IID_IDmaChannelSlave",
    "IID_IPortClsPower",
    "IID_IPortClsPnp",
    "IID_IPortClsStreamResourceManager",
    "IID_IPortClsStreamResourceManager2",
    "IID_IAdapterPnpManagement",
    "IID_IMiniportPnpNotify",
    "KSCATEGORY_AUDIO_DEVICE",
    "KSCATEGORY_SYSAUDIO",
    "KSCATEGORY_PREFERRED_MIDIOUT_DEVICE",
    "KSNODETYPE_SWSYNTH",
    "KSNODETYPE_SWMIDI",
];

/// The definitions that the headers need before and between them to compile as C (they were written for C++).
const PRELUDE: &str = "
#define INITGUID
#include <ntddk.h>
#include <windef.h>
typedef unsigned short TCHAR;
#define NOBITMAP
#include <mmreg.h>
typedef struct { int unused; } KSRTAUDIO_HWLATENCY, KSRTAUDIO_HWREGISTER;
#include <ks.h>
#include <ksmedia.h>
#include <portcls.h>
#include <dmusicks.h>
#include <dmusbuff.h>
#include <dls1.h>
#include <dmdls.h>
";

/// A probe's constants, by symbol name.
struct Probe {
    constants: BTreeMap<String, Vec<u8>>,
    width: &'static str,
}

impl Probe {
    fn number(&self, symbol: &str) -> usize {
        let bytes = &self.bytes(symbol)[..4];
        u32::from_le_bytes(bytes.try_into().unwrap()) as usize
    }

    fn bytes(&self, symbol: &str) -> &[u8] {
        self.constants.get(symbol).unwrap_or_else(|| panic!("the {} probe has no symbol {symbol}", self.width))
    }
}

/// Compiles the probe; `None`, after saying why, when the compiler is not there and need not be.
fn probe(compiler: &str, width: &'static str, source: &str) -> Option<Probe> {
    let found = Command::new(compiler).arg("-print-file-name=include").output();
    if found.is_err() {
        let remedy = format!("{compiler} not found: install mingw-w64 (Debian: apt-get install mingw-w64)");
        let required = std::env::var_os("CI").is_some() || std::env::var("DMUS_REQUIRE_ALL").is_ok_and(|v| v == "1");
        assert!(!required, "{remedy}");
        println!("skipped: {remedy}");
        return None;
    }

    let folder = tempfile::tempdir().unwrap();
    let c = folder.path().join("probe.c");
    let o = folder.path().join("probe.o");
    std::fs::write(&c, source).unwrap();
    let output = Command::new(compiler)
        .args(["-std=gnu11", "-w", "-c", "-o"])
        .args([&o, &c])
        .args(ddk_folders(compiler).iter().flat_map(|folder| ["-I", folder.as_str()]))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{compiler} does not compile the probe; is a structure, interface or GUID missing from the headers?\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(Probe { constants: constants(&o), width })
}

/// Returns the folders of the Windows Driver Kit's headers, beside the compiler's own.
fn ddk_folders(compiler: &str) -> Vec<String> {
    let output = Command::new(compiler).args(["-xc", "-E", "-v", "/dev/null"]).output().unwrap();
    String::from_utf8_lossy(&output.stderr)
        .lines()
        .map(|line| format!("{}/ddk", line.trim()))
        .filter(|folder| Path::new(folder).join("portcls.h").exists())
        .collect()
}

fn constants(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let data = std::fs::read(path).unwrap();
    let file = object::File::parse(&*data).unwrap();
    let mut constants = BTreeMap::new();
    for symbol in file.symbols() {
        let (Some(index), Ok(name)) = (symbol.section_index(), symbol.name()) else { continue };
        let Ok(section) = file.section_by_index(index) else { continue };
        let Ok(data) = section.data() else { continue };
        let Some(bytes) = data.get(usize::try_from(symbol.address() - section.address()).unwrap()..) else { continue };
        if bytes.len() >= 4 {
            // 32-bit symbols carry a leading underscore.
            let name = if file.is_64() { name } else { name.strip_prefix('_').unwrap_or(name) };
            constants.insert(name.to_owned(), bytes[..bytes.len().min(16)].to_vec());
        }
    }
    constants
}

/// Selects the number of a figure that a probe checks.
type Width = fn(Figure) -> usize;

fn both_widths(source: &str) -> Vec<(Probe, Width)> {
    let widths: [(&str, &str, Width); 2] = [
        ("x86_64-w64-mingw32-gcc", "64-bit", |figure| figure.bits64),
        ("i686-w64-mingw32-gcc", "32-bit", |figure| figure.bits32),
    ];
    widths.into_iter().filter_map(|(compiler, name, width)| Some((probe(compiler, name, source)?, width))).collect()
}

#[test]
fn structures_have_the_sizes_and_offsets_of_the_headers() {
    let mut source = PRELUDE.to_owned();
    let layouts: Vec<_> = layout::ALL.iter().filter(|l| !STRUCTURES_NOT_IN_HEADERS.contains(&l.name)).collect();
    assert!(
        layouts.len() + STRUCTURES_NOT_IN_HEADERS.len() == layout::ALL.len(),
        "a name is listed that is not stated"
    );
    for (i, layout) in layouts.iter().enumerate() {
        writeln!(source, "const unsigned int layout_{i} = sizeof({});", layout.name).unwrap();
        for (j, field) in layout.fields.iter().enumerate() {
            writeln!(source, "const unsigned int layout_{i}_{j} = offsetof({}, {});", layout.name, field.name).unwrap();
        }
    }
    for (probe, figure) in both_widths(&source) {
        for (i, layout) in layouts.iter().enumerate() {
            assert_eq!(
                probe.number(&format!("layout_{i}")),
                figure(layout.size),
                "{} size of {}",
                probe.width,
                layout.name
            );
            for (j, field) in layout.fields.iter().enumerate() {
                let offset = probe.number(&format!("layout_{i}_{j}"));
                assert_eq!(offset, figure(field.offset), "{} offset of {}.{}", probe.width, layout.name, field.name);
            }
        }
    }
}

#[test]
fn kernel_structures_have_the_field_offsets_of_the_headers() {
    let mut source = PRELUDE.to_owned();
    let fields = || layout::BEGINNINGS.iter().flat_map(|layout| layout.fields.iter().map(move |field| (layout, field)));
    for (i, (layout, field)) in fields().enumerate() {
        writeln!(source, "const unsigned int field_{i} = offsetof({}, {});", layout.name, field.name).unwrap();
    }
    for (probe, figure) in both_widths(&source) {
        for (i, (layout, field)) in fields().enumerate() {
            let offset = probe.number(&format!("field_{i}"));
            assert_eq!(offset, figure(field.offset), "{} offset of {}.{}", probe.width, layout.name, field.name);
        }
    }
}

#[test]
fn interfaces_have_the_slots_of_the_headers() {
    let mut source = PRELUDE.to_owned();
    let interfaces: Vec<_> = interface::ALL.iter().filter(|i| !INTERFACES_NOT_IN_HEADERS.contains(&i.name)).collect();
    assert!(interfaces.len() + INTERFACES_NOT_IN_HEADERS.len() == interface::ALL.len(), "a name is not stated");
    for (i, interface) in interfaces.iter().enumerate() {
        let table = format!("struct {}Vtbl", interface.name);
        writeln!(source, "const unsigned int slots_{i} = sizeof({table}) / sizeof(void *);").unwrap();
        for method in interface.methods {
            let (name, slot) = (method.name, method.slot);
            writeln!(source, "const unsigned int slot_{i}_{slot} = offsetof({table}, {name}) / sizeof(void *);")
                .unwrap();
        }
    }
    for (probe, _) in both_widths(&source) {
        for (i, interface) in interfaces.iter().enumerate() {
            assert_eq!(probe.number(&format!("slots_{i}")), interface.slots, "slots of {}", interface.name);
            for method in interface.methods {
                let slot = probe.number(&format!("slot_{i}_{}", method.slot));
                assert_eq!(slot, method.slot, "{} slot of {}::{}", probe.width, interface.name, method.name);
            }
        }
    }
}

#[test]
fn guids_equal_those_of_the_headers() {
    let guids: Vec<_> = [guid::INTERFACES, guid::CLASSES, guid::STREAMING]
        .concat()
        .into_iter()
        .filter(|(name, _)| !GUIDS_NOT_IN_HEADERS.contains(name))
        .collect();
    let mut source = PRELUDE.to_owned();
    for (name, _) in &guids {
        // Kernel streaming gives its values as initialisers, PortCls as definitions.
        writeln!(source, "#ifdef STATIC_{name}\nconst GUID probed_{name} = {{ STATIC_{name} }};").unwrap();
        writeln!(source, "#else\nextern const GUID {name};\n#endif").unwrap();
    }
    for (probe, _) in both_widths(&source) {
        let has = |name: &&str| {
            probe.constants.contains_key(*name) || probe.constants.contains_key(&format!("probed_{name}"))
        };
        let missing: Vec<_> = guids.iter().map(|(name, _)| *name).filter(|name| !has(name)).collect();
        assert!(missing.is_empty(), "the {} probe lacks {missing:?}", probe.width);
        for (name, guid) in &guids {
            let probed = format!("probed_{name}");
            let symbol = if probe.constants.contains_key(&probed) { &probed } else { *name };
            assert_eq!(probe.bytes(symbol), guid.to_bytes(), "{} {name}", probe.width);
        }
    }
}
