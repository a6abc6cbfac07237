//! The structures of both widths against mingw-w64's public headers: a C compiler of each width checks sizes and offsets, and
//! nothing runs.

use std::fmt::Write as _;
use std::mem::offset_of;
use std::process::Command;

use dmus_agent::guid::{self, Guid};
use dmus_agent::layout::{self, Identifier, PinConnect32, PinConnect64, Priority, StreamHeader32, StreamHeader64};

/// A structure: its name in C, its size, and its fields' names in C and offsets.
type Structure = (&'static str, usize, Vec<(&'static str, usize)>);

macro_rules! structure {
    ($c:literal, $rust:ident: $($field:ident = $name:literal),*) => {
        ($c, size_of::<$rust>(), vec![$(($name, offset_of!($rust, $field))),*])
    };
}

fn structures(bits: u32) -> Vec<Structure> {
    let both = [
        structure!("KSIDENTIFIER", Identifier: set = "Set", id = "Id", flags = "Flags"),
        structure!("KSPRIORITY", Priority: class = "PriorityClass", sub_class = "PrioritySubClass"),
    ];
    let wide = [
        structure!("KSPIN_CONNECT", PinConnect64: interface = "Interface", medium = "Medium", pin = "PinId",
            pin_to = "PinToHandle", priority = "Priority"),
        structure!("KSSTREAM_HEADER", StreamHeader64: size = "Size", type_flags = "TypeSpecificFlags",
            time = "PresentationTime.Time", numerator = "PresentationTime.Numerator",
            denominator = "PresentationTime.Denominator", duration = "Duration", extent = "FrameExtent", used = "DataUsed",
            data = "Data", options = "OptionsFlags"),
    ];
    let narrow = [
        structure!("KSPIN_CONNECT", PinConnect32: interface = "Interface", medium = "Medium", pin = "PinId",
            pin_to = "PinToHandle", priority = "Priority"),
        structure!("KSSTREAM_HEADER", StreamHeader32: size = "Size", type_flags = "TypeSpecificFlags",
            time = "PresentationTime.Time", numerator = "PresentationTime.Numerator",
            denominator = "PresentationTime.Denominator", duration = "Duration", extent = "FrameExtent", used = "DataUsed",
            data = "Data", options = "OptionsFlags"),
    ];
    both.into_iter().chain(if bits == 64 { wide } else { narrow }).collect()
}

/// Returns the initializer that the headers' macro of a GUID has to expand to.
fn initializer(guid: Guid) -> String {
    let word = |at: usize| u32::from_le_bytes([guid[at], guid[at + 1], guid[at + 2], guid[at + 3]]);
    let half = |at: usize| u16::from_le_bytes([guid[at], guid[at + 1]]);
    let bytes: Vec<String> = guid[8..].iter().map(|byte| format!("{byte:#x}")).collect();
    format!("{:#x},{:#x},{:#x},{}", word(0), half(4), half(6), bytes.join(","))
}

fn source(bits: u32) -> String {
    let mut text = "#define WINVER 0x0501\n#define _WIN32_WINNT 0x0501\n#include <stddef.h>\n#include <windows.h>\n\
                    #include <setupapi.h>\n#include <winternl.h>\n#include <ks.h>\n#include <ksmedia.h>\n\
                    #define SAME(a, b) _Static_assert((a) == (b), #a)\n"
        .to_owned();
    for (name, size, fields) in structures(bits) {
        let _ = writeln!(text, "SAME(sizeof({name}), {size});");
        for (field, offset) in fields {
            let _ = writeln!(text, "SAME(offsetof({name}, {field}), {offset});");
        }
    }
    for (name, value) in [
        ("IOCTL_KS_PROPERTY", layout::IOCTL_KS_PROPERTY),
        ("IOCTL_KS_WRITE_STREAM", layout::IOCTL_KS_WRITE_STREAM),
        ("IOCTL_KS_READ_STREAM", layout::IOCTL_KS_READ_STREAM),
        ("KSPROPERTY_TYPE_GET", layout::PROPERTY_GET),
        ("KSPROPERTY_TYPE_SET", layout::PROPERTY_SET),
        ("KSPROPERTY_TYPE_BASICSUPPORT", layout::PROPERTY_BASIC_SUPPORT),
        ("KSPROPERTY_TYPE_TOPOLOGY", layout::PROPERTY_TOPOLOGY),
        ("KSPRIORITY_NORMAL", layout::PRIORITY_NORMAL),
        ("KSPROPERTY_PIN_CTYPES", layout::pin::CTYPES),
        ("KSPROPERTY_PIN_DATAFLOW", layout::pin::DATAFLOW),
        ("KSPROPERTY_PIN_DATARANGES", layout::pin::DATARANGES),
        ("KSPROPERTY_PIN_COMMUNICATION", layout::pin::COMMUNICATION),
        ("KSPROPERTY_PIN_GLOBALCINSTANCES", layout::pin::GLOBALCINSTANCES),
        ("KSPIN_DATAFLOW_IN", layout::DATAFLOW_IN),
        ("KSPIN_COMMUNICATION_NONE", layout::COMMUNICATION_NONE),
        ("KSPIN_COMMUNICATION_BRIDGE", layout::COMMUNICATION_BRIDGE),
        ("KSPIN_COMMUNICATION_SOURCE", layout::COMMUNICATION_SOURCE),
        ("KSPROPERTY_TOPOLOGY_NODES", layout::TOPOLOGY_NODES),
        ("KSPROPERTY_CONNECTION_STATE", layout::CONNECTION_STATE),
        ("KSSTATE_RUN", layout::state_value(guest_protocol::KsState::Run)),
        ("sizeof(KSDATAFORMAT)", 64),
        ("sizeof(KSP_PIN)", layout::pin_property(0, 0).len() as u32),
        ("sizeof(KSPROPERTY)", layout::property(&guid::TYPE_MUSIC, 0, 0, None).len() as u32),
        ("sizeof(KSNODEPROPERTY)", layout::property(&guid::TYPE_MUSIC, 0, 0, Some(0)).len() as u32),
        ("sizeof(IO_STATUS_BLOCK)", 2 * bits / 8),
    ] {
        let _ = writeln!(text, "SAME((unsigned)({name}), {value}u);");
    }
    // The macros have the fields of a GUID, one after another.
    text += "#define FIELD(n, a,b,c,d,e,f,g,h,i,j,k) ((n)==0?(long long)(a):(n)==1?(b):(n)==2?(c):(n)==3?(d):(n)==4?(e):(n)==5?(f):\
             (n)==6?(g):(n)==7?(h):(n)==8?(i):(n)==9?(j):(k))\n#define FIELD_OF(n, ...) FIELD(n, __VA_ARGS__)\n";
    for (name, guid) in [
        ("STATIC_KSINTERFACESETID_Standard", guid::INTERFACE_STANDARD),
        ("STATIC_KSMEDIUMSETID_Standard", guid::MEDIUM_STANDARD),
        ("STATIC_KSPROPSETID_Pin", guid::PROPERTIES_PIN),
        ("STATIC_KSPROPSETID_Topology", guid::PROPERTIES_TOPOLOGY),
        ("STATIC_KSPROPSETID_Connection", guid::PROPERTIES_CONNECTION),
        ("STATIC_KSDATAFORMAT_TYPE_MUSIC", guid::TYPE_MUSIC),
        ("STATIC_KSDATAFORMAT_TYPE_AUDIO", guid::TYPE_AUDIO),
        ("STATIC_KSDATAFORMAT_SUBTYPE_MIDI", guid::SUBTYPE_MIDI),
        ("STATIC_KSDATAFORMAT_SPECIFIER_NONE", guid::SPECIFIER_NONE),
        ("STATIC_KSDATAFORMAT_SPECIFIER_WAVEFORMATEX", guid::SPECIFIER_WAVEFORMATEX),
        ("STATIC_KSCATEGORY_AUDIO", guid::CATEGORIES[0]),
        ("STATIC_KSCATEGORY_RENDER", guid::CATEGORIES[1]),
        ("STATIC_KSCATEGORY_CAPTURE", guid::CATEGORIES[2]),
        ("STATIC_KSCATEGORY_SYNTHESIZER", guid::CATEGORIES[3]),
    ] {
        for field in 0..11 {
            let _ = writeln!(text, "SAME(FIELD_OF({field}, {name}), FIELD_OF({field}, {}));", initializer(guid));
        }
    }
    text
}

fn compile(compiler: &str, source: &str) -> Option<Result<(), String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layout.c");
    std::fs::write(&path, source).unwrap();
    let output = Command::new(compiler).args(["-fsyntax-only", "-Wno-attributes"]).arg(&path).output().ok()?;
    Some(if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) })
}

#[test]
fn both_widths_have_the_sizes_and_offsets_of_the_public_headers() {
    for (compiler, bits) in [("x86_64-w64-mingw32-gcc", 64), ("i686-w64-mingw32-gcc", 32)] {
        let text = source(bits);
        match compile(compiler, &text) {
            None => eprintln!("skipped for {bits} bits: {compiler} is not installed"),
            Some(result) => {
                result.unwrap_or_else(|error| panic!("{compiler}: {error}"));
                // The check can fail: a structure that is 8 bytes longer does not pass.
                let longer = text.replacen("SAME(sizeof(KSIDENTIFIER), 24);", "SAME(sizeof(KSIDENTIFIER), 32);", 1);
                assert_ne!(longer, text);
                assert!(compile(compiler, &longer).is_some_and(|result| result.is_err()), "{compiler} checks nothing");
            }
        }
    }
}
