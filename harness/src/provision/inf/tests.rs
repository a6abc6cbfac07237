//! Tests of the INF reader, with what files of others hold, and with what none should.

use std::path::Path;

use guest_protocol::{Install, RegistryKey, RegistryRoot, RegistryValue};

use super::registry::{guid, guid_text, kind};
use super::*;

/// An INF with a place for more: `{…}` is replaced.
fn inf(replace: &[(&str, &str)]) -> String {
    let mut text = String::from(
        "[Version]\r\nSignature=\"$Windows NT$\"\r\nClass=MEDIA\r\nClassGuid={4D36E96C-E325-11CE-BFC1-08002BE10318}\r\n\
         Provider=%Us%\r\nDriverVer=01/02/2026,1.2.3.4\r\n\
         [Manufacturer]\r\n%Us%=Models,NTamd64\r\n\
         [Models.NTamd64]\r\n%Card%=Card,PCI\\VEN_1234&DEV_5678,PCI\\VEN_1234\r\n\
         [Card.NT]\r\nAddReg=Card.Reg\r\n{install}\
         [Card.Reg]\r\nHKR,,Driver,,card.sys\r\n{reg}\
         [Card.NT.Services]\r\nAddService=card,2,Card.Service\r\n\
         [Card.Service]\r\nServiceType=1\r\nStartType=3\r\nErrorControl=1\r\nServiceBinary=%12%\\card.sys\r\n{service}\
         {more}\
         [Strings]\r\nUs=\"Us, Ltd.\"\r\nCard=\"The \"\"best\"\" card\"\r\n{strings}",
    );
    for (place, with) in replace {
        text = text.replace(&format!("{{{place}}}"), with);
    }
    for place in ["install", "reg", "service", "more", "strings"] {
        text = text.replace(&format!("{{{place}}}"), "");
    }
    text
}

fn read(text: &str) -> Inf {
    parse(Path::new("my.inf"), text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn fault(text: &str) -> String {
    parse(Path::new("my.inf"), text.as_bytes()).expect_err(text).to_string()
}

fn install(inf: &Inf) -> &Install {
    &inf.installation.installs[0]
}

fn key<'a>(install: &'a Install, root: RegistryRoot, path: &str) -> &'a RegistryKey {
    let found = install.keys.iter().find(|key| key.root == root && key.path == path);
    found.unwrap_or_else(|| panic!("no key {root:?} {path} in {:?}", install.keys))
}

fn value<'a>(install: &'a Install, root: RegistryRoot, path: &str, name: &str) -> &'a RegistryValue {
    let found = key(install, root, path).values.iter().find(|value| value.name == name);
    found.unwrap_or_else(|| panic!("no value {name}"))
}

/// Returns the text of a string, or of a list with `|` for each zero.
fn text(value: &RegistryValue) -> String {
    let units: Vec<u16> = value.data.chunks(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    String::from_utf16(&units).unwrap().replace('\0', "|")
}

#[test]
fn reads_the_project_s_own_inf() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-driver/inf/dmuscard.inf");
    let inf = super::read(&path).unwrap();
    assert_eq!(inf.warnings(Some(OsStr::new("DMUSCARD.sys"))), Vec::<String>::new());
    let model = &inf.installation.models[0];
    assert_eq!(model.hardware_id, "PCI\\VEN_1AF4&DEV_1067&SUBSYS_11001AF4&REV_01");
    assert_eq!(model.description, "Virtual DirectMusic Card");
    let install = install(&inf);
    assert_eq!(install.service, "dmuscard");
    assert_eq!(text(value(install, RegistryRoot::Driver, "Drivers", "SubClasses")), "midi|");
    let messages = "Interrupt Management\\MessageSignaledInterruptProperties";
    assert_eq!(value(install, RegistryRoot::Device, messages, "MSISupported").data, [0; 4]);
    assert_eq!(install.interfaces.len(), 4);
    assert!(install.interfaces.iter().all(|interface| interface.reference == "DirectMusic"));
    let (path, values) = &install.interfaces[0].keys[0];
    assert_eq!((path.as_str(), text(&values[1]).as_str()), ("", "Virtual DirectMusic Card|"));
    assert_eq!(inf.warnings(Some(OsStr::new("other.sys"))).len(), 1);
}

#[test]
fn reads_every_type_of_value() {
    let text_of = inf(&[(
        "reg",
        "HKR,,Plain,0x0,\"a, b\"\nHKR,Parameters,List,0x00010000,one,two,\"\",three\n\
         HKR,,Path,0x00020000,\"%%SystemRoot%%\\x\"\nHKR,,Bytes,1,01,ff,0x7\nHKR,,More,0x00010008,five\n\
         HKR,,More,0x00010008,six,FIVE,five\nHKR,,Number,65537,4294967295\nHKR,,Minus,0x00010001,-1\n\
         HKR,,FourBytes,0x00010001,78,0,0,0\nHKR,,Hex,0x10001,0xABCD\nHKR,,Nothing,0x00020001\n\
         HKR,,Quad,0x000B0001,1,2,3,4,5,6,7,8\nHKR,,,,default\nHKR,OnlyKey\nHKR,Other,,0x10\n\
         HKR,,Driver,2,other.sys\nHKR,,Absent,0x20,x\nHKR,,Gone,,x\nHKR,,Gone,4\nHKLM,Software\\Us,Name,,v\n",
    )]);
    let inf = read(&text_of);
    let install = install(&inf);
    let driver = |name| value(install, RegistryRoot::Driver, "", name);
    assert_eq!((driver("Plain").kind, text(driver("Plain")).as_str()), (kind::SZ, "a, b|"));
    assert_eq!(text(value(install, RegistryRoot::Driver, "Parameters", "List")), "one|two|three||");
    assert_eq!((driver("Path").kind, text(driver("Path")).as_str()), (kind::EXPAND_SZ, "%SystemRoot%\\x|"));
    assert_eq!((driver("Bytes").kind, &driver("Bytes").data[..]), (kind::BINARY, &[1, 0xff, 7][..]));
    assert_eq!(text(driver("More")), "five|six|FIVE||");
    assert_eq!((driver("Number").kind, driver("Number").data.clone()), (kind::DWORD, vec![0xff; 4]));
    assert_eq!(driver("Minus").data, [0xff; 4]);
    assert_eq!(driver("FourBytes").data, [0x78, 0, 0, 0]);
    assert_eq!(driver("Hex").data, [0xcd, 0xab, 0, 0]);
    assert_eq!((driver("Nothing").kind, driver("Nothing").data.len()), (kind::NONE, 0));
    assert_eq!((driver("Quad").kind, driver("Quad").data.len()), (11, 8));
    assert_eq!(text(driver("")), "default|");
    assert_eq!(text(driver("Driver")), "card.sys|", "a value is not clobbered");
    for (root, path) in [(RegistryRoot::Driver, "OnlyKey"), (RegistryRoot::Driver, "Other")] {
        assert!(key(install, root, path).values.is_empty());
    }
    for absent in ["Absent", "Gone"] {
        assert!(!key(install, RegistryRoot::Driver, "").values.iter().any(|value| value.name == absent), "{absent}");
    }
    assert_eq!(text(value(install, RegistryRoot::Machine, "Software\\Us", "Name")), "v|");
}

#[test]
fn reads_services_hardware_keys_and_interfaces() {
    let text_of = inf(&[
        ("service", "DisplayName=%Card%\nAddReg=Service.Reg\nLoadOrderGroup=Base\nDependencies=ks,portcls\n"),
        (
            "more",
            "[Service.Reg]\nHKR,Parameters,Volume,0x00010001,7\n[Card.NT.HW]\nAddReg=Hardware.Reg\n[Hardware.Reg]\n\
             HKR,Sub,Name,,hw\n[Card.NT.Interfaces]\nAddInterface={6994ad04-93ef-11d0-a3cc-00a0c9223196},Wave,Face\n\
             AddInterface = {6994AD04-93EF-11D0-A3CC-00A0C9223196},%Topo%\n[Face]\nAddReg=Face.Reg\n[Face.Reg]\n\
             HKR,,FriendlyName,,%Card%\n",
        ),
        ("strings", "Topo=Topology\n"),
    ]);
    let inf = read(&text_of);
    assert_eq!(inf.warnings(None), Vec::<String>::new());
    let install = install(&inf);
    let service = |name| value(install, RegistryRoot::Service, "", name);
    assert_eq!(text(service("DisplayName")), "The \"best\" card|");
    assert_eq!(text(service("ImagePath")), "\\SystemRoot\\System32\\drivers\\card.sys|");
    assert_eq!(text(service("DependOnService")), "ks|portcls||");
    assert_eq!(value(install, RegistryRoot::Service, "Parameters", "Volume").data, [7, 0, 0, 0]);
    assert_eq!(text(value(install, RegistryRoot::Device, "Sub", "Name")), "hw|");
    let [wave, topology] = &install.interfaces[..] else { panic!("{:?}", install.interfaces) };
    assert_eq!((wave.reference.as_str(), topology.reference.as_str()), ("Wave", "Topology"));
    assert_eq!(text(&wave.keys[0].1[0]), "The \"best\" card|");
    assert!(topology.keys.is_empty());
    assert_eq!(inf.installation.provider, "Us, Ltd.");
    assert_eq!(inf.installation.models[0].compatible_ids, ["PCI\\VEN_1234"]);
}

#[test]
fn joins_lines_takes_comments_and_keeps_what_is_quoted() {
    let text_of = inf(&[(
        "reg",
        "HKR,,Long,,one\\\n  more ; a comment\nHKR,, Spaces ,, a  b \nHKR,,Semicolon,,\"a;b\" ; c\n\
         hkr,\\Sub\\,Path,,\"c:\\x\\\"\nHKR,,List,0x00010000,a,\\ ; more\n   b,\\\n   c\n   ; nothing\n\n",
    )]);
    let inf = read(&text_of);
    let install = install(&inf);
    assert_eq!(text(value(install, RegistryRoot::Driver, "", "Long")), "onemore|");
    assert_eq!(text(value(install, RegistryRoot::Driver, "", "Spaces")), "a  b|");
    assert_eq!(text(value(install, RegistryRoot::Driver, "", "Semicolon")), "a;b|");
    assert_eq!(text(value(install, RegistryRoot::Driver, "Sub", "Path")), "c:\\x\\|");
    assert_eq!(text(value(install, RegistryRoot::Driver, "", "List")), "a|b|c||");
}

#[test]
fn reads_the_encodings_that_windows_reads() {
    let utf8 = inf(&[("reg", "HKR,,Name,,Müller\n")]);
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(utf8.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let marked: Vec<u8> = [0xef, 0xbb, 0xbf].into_iter().chain(utf8.bytes()).collect();
    let ansi: Vec<u8> = utf8.chars().map(|character| character as u8).collect();
    let path = Path::new("my.inf");
    for (bytes, warned) in [(&utf16, 0), (&marked, 0), (&ansi, 1)] {
        let inf = parse(path, bytes).unwrap();
        assert_eq!(text(value(install(&inf), RegistryRoot::Driver, "", "Name")), "Müller|");
        assert_eq!(inf.warnings(None).len(), warned, "{:?}", inf.warnings(None));
    }
    let fault = |bytes: &[u8]| parse(path, bytes).unwrap_err().to_string();
    assert!(fault(&utf16[..utf16.len() - 1]).contains("odd number"));
    assert!(fault(&[0xff, 0xfe, 0x00, 0xd8, 0x41, 0x00]).contains("surrogate"));
    assert!(fault(&[0xfe, 0xff, 0x00]).contains("high byte first"));
    assert!(fault(&[0xef, 0xbb, 0xbf, 0xff]).contains("UTF-8"));
    // UTF-16 without its mark.
    let bare = fault(&utf16[2..]);
    assert!(bare.contains("my.inf:1: it has a zero character"), "{bare}");
}

#[test]
fn chooses_the_models_and_sections_of_x64() {
    let models = |decorations: &str, sections: &str| {
        let text = inf(&[("more", sections)]);
        text.replace("%Us%=Models,NTamd64\r\n", &format!("%Us%=Models{decorations}\r\n"))
    };
    let best = "[Models.NTamd64.6.1]\nseven=Card,PCI\\VEN_1&DEV_7\n[Models.NTamd64.10.0...19041]\nten=Card,PCI\\VEN_1&DEV_10\n\
                [Models.NTamd64.10.0...99999]\nfuture=Card,PCI\\VEN_1&DEV_99\n[Models]\nold=Card,PCI\\VEN_1&DEV_0\n";
    let inf = read(&models(",NTx86,NTamd64,NTamd64.10.0...99999,NTamd64.10.0...19041,NTamd64.6.1", best));
    let found: Vec<&str> = inf.installation.models.iter().map(|model| model.hardware_id.as_str()).collect();
    assert_eq!(found, ["PCI\\VEN_1&DEV_10"]);
    let undecorated = fault(&models("", best));
    assert!(
        undecorated.contains("no model is for NTamd64") && undecorated.contains("[INF Models Section]"),
        "{undecorated}"
    );
    assert!(fault(&models(",NTx86", best)).contains("no model is for NTamd64"));
    assert!(fault(&models(",amd64", best)).contains("`amd64` is no decoration"));
    assert!(fault(&models(",NTamd64.5.2", best)).contains("there is no section [Models.NTamd64.5.2]"));
    // The section with the architecture goes before the other, with its companions.
    let both = self::inf(&[(
        "more",
        "[Card.NTamd64]\nAddReg=Sixtyfour\n[Sixtyfour]\nHKR,,Name,,64\n[Card.NTamd64.Services]\n\
         AddService=sixtyfour,2,Card.Service\n",
    )]);
    let inf = read(&both);
    assert_eq!((install(&inf).section.as_str(), install(&inf).service.as_str()), ("Card.NTamd64", "sixtyfour"));
}

#[test]
fn shows_a_fault_with_its_line_and_rule() {
    let line = |text: &str, wanted: &str| text.lines().position(|line| line.contains(wanted)).unwrap() + 1;
    for (place, entry, expected) in [
        ("reg", "HKX,,a\n", "`HKX` is no root"),
        ("reg", "HKR,,a,0x800,x\n", "bits that mean nothing"),
        ("reg", "HKR,,a,many,x\n", "no number"),
        ("reg", "HKR,,a,0x10001,12x\n", "`12x` is no number"),
        ("reg", "HKR,,a,0x10001,4294967296\n", "no number of 32 bits"),
        ("reg", "HKR,,a,0x10001,1,2\n", "four bytes"),
        ("reg", "HKR,,a,1,100\n", "`100` is no byte"),
        ("reg", "HKR,,a,0x30000,x\n", "no type of string"),
        ("reg", "HKR,,a,,x,y\n", "quote a comma"),
        ("reg", "HKR,,a,8,x\n", "REG_MULTI_SZ"),
        ("reg", "HKR,,a,,\"x\n", "quotation mark"),
        ("reg", "name=value\n", "without `=`"),
        ("install", "AddReg=Nowhere\n", "no section [Nowhere]"),
        ("service", "StartType=soon\n", "StartType is `soon`"),
        ("service", "ServiceType=0x10\n", "SERVICE_KERNEL_DRIVER"),
        ("more", "[Card.NT.Interfaces]\nAddInterface=KSCATEGORY_AUDIO,Wave\n", "no interface class"),
        ("more", "[Card.NT.Interfaces]\nAddInterface={6994AD04-93EF-11D0-A3CC-00A0C9223196},a\\b\n", "slash"),
        ("more", "[Models.NTamd64]\nx=Nothing,PCI\\VEN_1\n", "no section [Nothing.NTamd64]"),
        ("more", "[Models.NTamd64]\nx=Card\n", "neither a hardware id"),
        ("more", "[Models.NTamd64]\nLonely,PCI\\VEN_1\n", "a model is description"),
        ("more", "[Half\n", "ends with `]`"),
        ("more", "[]\n", "no name"),
        ("more", "[A] b\n", "line of its own"),
        ("strings", "lonely\n", "token = \"text\""),
    ] {
        let text = inf(&[(place, entry)]);
        let found = fault(&text);
        let wanted = entry.lines().last().unwrap();
        let expected_line = format!("my.inf:{}: ", line(&text, wanted));
        assert!(found.starts_with(&expected_line) && found.contains(expected), "{entry}: {found} ({expected_line})");
        assert!(found.ends_with(']'), "{found} names its rule");
    }
    let without = |part: &str, with: &str| fault(&inf(&[]).replace(part, with));
    assert!(without("$Windows NT$", "$Windows 95$").contains("Signature is"));
    assert!(without("[Version]", "[Wersion]").contains("no section [Version]"));
    assert!(without("[Manufacturer]", "[Nobody]").contains("no section [Manufacturer]"));
    assert!(without("[Version]", "a=b\n[Version]").contains("before the first section"));
    assert!(without("ServiceBinary=%12%\\card.sys\r\n", "").contains("has no ServiceBinary"));
    assert!(without("{4D36E96C", "{4D36E96").contains("no GUID"));
}

#[test]
fn warns_of_what_is_not_carried_out_and_only_of_that() {
    let warned = |place: &str, entry: &str| read(&inf(&[(place, entry)])).warnings(None);
    for (place, entry) in [
        (
            "install",
            "CopyFiles=@card.sys\nDelReg=Nowhere\nInclude=ks.inf,wdmaudio.inf\nNeeds=KS.Registration,WDMAUDIO.Registration.NT\n",
        ),
        ("more", "[SourceDisksNames]\n1=disk\n[Anything.Else]\nwhatever\n"),
    ] {
        assert_eq!(warned(place, entry), Vec::<String>::new(), "{entry}");
    }
    for (place, entry, expected) in [
        ("install", "BitReg=Bits\n", "the directive BitReg in [Card.NT] is not carried out"),
        ("install", "AddProperty=Properties\n", "AddProperty"),
        ("install", "LogConfig=Isa\n", "--resource"),
        ("install", "Needs=Their.Section\n", "needs = their.section"),
        ("service", "SidType=1\n", "SidType"),
        ("more", "[Card.NT.FactDef]\nIRQConfig=5\n", "--resource"),
        ("more", "[Card.NT.Filters]\nAddFilter=x\n", "filter"),
        ("more", "[Card.NT.Services]\nAddService=helper,,Card.Service\n", "not the device's function driver"),
        ("reg", "HKCU,Software,a,,b\n", "HKCU"),
        ("reg", "HKR,,a,,%Undefined%\n", "%Undefined% is not in [Strings]"),
    ] {
        let found = warned(place, entry);
        assert!(found.len() == 1 && found[0].to_lowercase().contains(&expected.to_lowercase()), "{entry}: {found:?}");
        assert!(found[0].starts_with("my.inf:"), "{found:?}");
    }
    let undefined = read(&inf(&[("reg", "HKR,,a,,%Undefined% 100% %Card%\n")]));
    let a = text(value(install(&undefined), RegistryRoot::Driver, "", "a"));
    assert_eq!(a, "%Undefined% 100% The \"best\" card|");
}

#[test]
fn bounds_what_a_hostile_file_can_cost() {
    let long = "x".repeat(5000);
    assert!(fault(&inf(&[("reg", &format!("HKR,,a,,{long}\n"))])).contains("more than 4096 characters"));
    assert!(fault(&inf(&[("more", &format!("[{long}]\n"))])).contains("more than 255 characters"));
    let endless = "a\\\n".repeat(40_000);
    assert!(fault(&inf(&[("reg", &format!("HKR,,a,0x10000,{endless}b\n"))])).contains("characters"));
    // A token that makes much of little: bounded after each replacement.
    let big = format!("Big=\"{}\"\n", "y".repeat(4000));
    let many = "%Big%".repeat(800);
    let text = inf(&[("reg", &format!("HKR,,a,,{many}\n")), ("strings", &big)]);
    assert!(fault(&text).contains("with its tokens replaced"));
    // The same values for each of many models: what they take together is bounded.
    let reg: String = (0..750).map(|at| format!("HKR,,v{at},,{}\n", "z".repeat(4000))).collect();
    let models: String = (0..4).map(|at| format!("m{at}=Card{at},PCI\\VEN_2&DEV_{at}\n")).collect();
    let cards: String = (0..4).map(|at| format!("[Card{at}]\nAddReg=Card.Reg\n")).collect();
    let more = format!("[Models.NTamd64]\n{models}{cards}");
    let text = inf(&[("reg", &reg), ("more", &more)]);
    assert!(text.len() < INF_BYTES_MAX);
    let found = parse(Path::new("my.inf"), text.as_bytes()).map(|inf| inf.installation.installs.len());
    assert!(found.as_ref().is_err_and(|error| error.to_string().contains("bytes of registry values")), "{found:?}");
    let large = vec![b';'; INF_BYTES_MAX + 1];
    assert!(parse(Path::new("my.inf"), &large).unwrap_err().to_string().contains("more than"));
    // Whatever the bytes, the answer is an INF or an error.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let whole = inf(&[]).into_bytes();
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        for _ in 0..4 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = state as usize % bytes.len();
            match state >> 60 {
                0..=5 => bytes[at] = (state >> 32) as u8,
                6..=9 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, b"[]=,\"%\\;\n"[(state >> 40) as usize % 9]),
            }
        }
        _ = parse(Path::new("my.inf"), &bytes);
    }
}

#[test]
fn compares_interfaces_with_what_the_driver_registered() {
    let audio = guid("{6994AD04-93EF-11D0-A3CC-00A0C9223196}").unwrap();
    let render = guid("{65E8773E-8F56-11D0-A3B9-00A0C9223196}").unwrap();
    assert_eq!(guid_text(&audio), "KSCATEGORY_AUDIO");
    assert_eq!(guid_text(&[1; 16]), "{01010101-0101-0101-0101-010101010101}");
    let installed =
        |class, reference: &str| InstalledInterface { class, reference: reference.into(), keys: Vec::new() };
    let registered = |class, reference: &str| RegisteredInterface { class, reference: reference.into() };
    let known = [installed(audio, "Wave"), installed(render, "Wave")];
    let same = [registered(render, "WAVE"), registered(audio, "wave")];
    assert_eq!(compare_interfaces("my.inf", &known, &same), Vec::<String>::new());
    let found = compare_interfaces("my.inf", &known, &[registered(audio, "Uart"), registered(audio, "Wave")]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("\"Uart\" in the category KSCATEGORY_AUDIO") && found[1].contains("KSCATEGORY_RENDER"));
}
