//! Each rule with an INF that breaks it and nothing else, and one that does not.

use driver_package::inf::check::{Finding, Level, Mode, RULES, check};

/// An INF that has no findings in any mode.
const GOOD: &str = r#"; a comment
[Version]
Signature   = "$Windows NT$"
Class       = MEDIA
ClassGuid   = {4d36e96c-e325-11ce-bfc1-08002be10318}
Provider    = %Provider%
DriverVer   = 03/02/2026,1.2.3.4
CatalogFile = my.cat
PnpLockdown = 1

[SourceDisksNames]
1 = %Disk%

[SourceDisksFiles]
my.sys = 1

[DestinationDirs]
Files = 13

[Manufacturer]
%Provider% = Models,NTamd64.10.0...16299

[Models.NTamd64.10.0...16299]
%Device% = Install,PCI\VEN_1234&DEV_0001

[Install.NT]
Include   = ks.inf
Needs     = KS.Registration
CopyFiles = Files
AddReg    = Registry

[Files]
my.sys

[Registry]
HKR,,Driver,,my.sys
HKR,Drivers,Number,0x00010001,7

[Install.NT.Services]
AddService = my,0x00000002,Service

[Service]
ServiceType   = 1
StartType     = 3
ErrorControl  = 1
ServiceBinary = %13%\my.sys

[Strings]
Provider = "Some firm"
Disk     = "Disk"
Device   = "Device"
"#;

/// A breach: the rule, what of the good INF is replaced and by what, and the words of the finding. The place is where the mark `@@` stands.
const BREACHES: &[(u16, &str, &str, &str)] = &[
    (1001, "\"$Windows NT$\"", "@@\"$Windows 3$\"", "$Windows 3$"),
    (1002, "%Disk%\n", "\"Disk\n", "quotation mark"),
    (1005, "= my,0x00000002,Service", "= my,0x00000002", "names the section"),
    (1011, "Models,NTamd64.10.0...16299", "Models,NTamd64.10.0...16299,@@WINamd64", "does not begin with NT"),
    (1017, "= my,0x00000002", "= @@portcls,0x00000002", "Windows' own"),
    (1100, "my.sys = 1\n", "my.sys = 1,x64\n", "stay as they are in the package"),
    (
        1199,
        "Models,NTamd64.10.0...16299\n\n[Models.NTamd64.10.0...16299]",
        "Models,NTamd64.10.0\n\n[Models.NTamd64.10.0]",
        "before 10.0.16299",
    ),
    (1201, "= MEDIA", "= MEDIA,@@AUDIO", "takes 1 values"),
    (1202, "= ks.inf", "= @@mine.inf", "mine.inf"),
    (1203, "CopyFiles = Files", "CopyFiles = Files, @@my.sys", "@my.sys"),
    (1203, "Files = 13", "Files = 13\n@@Others = 13", "[Others]"),
    (1203, "= Install,PCI", "= @@Elsewhere,PCI", "[Elsewhere]"),
    (1204, "\"Some firm\"", "\"Microsoft\"", "Microsoft"),
    (1205, "AddReg    = Registry", "AddReg    = Registry\nDelReg    = @@Registry", "addreg and by delreg"),
    (1209, "[Strings]", "@@[Files]\n[Strings]", "line 32"),
    (
        1211,
        "AddService = my,0x00000002,Service",
        "AddService = my,0x00000002,Service\n@@AddService = my,2,Service",
        "second function driver",
    ),
    (1212, "[Strings]", "@@[DefaultInstall]\n[Strings]", "[Manufacturer]"),
    (1213, "= my.cat", "= @@sub\\my.cat", "sub\\my.cat"),
    (1214, "CatalogFile = my.cat", "CatalogFile.NTamd64 = my.cat\nCatalogFile.NTx86 = @@my.cat", "my.cat"),
    (1217, "DriverVer   = 03/02/2026,1.2.3.4\n", "", "DriverVer"),
    (1218, "03/02/2026", "@@3/2/2026", "3/2/2026"),
    (1218, "1.2.3.4", "@@1.2.3.65535", "1.2.3.65535"),
    (1218, "1.2.3.4", "@@0.0.0.0", "0.0.0.0"),
    (1221, "HKR,,Driver,,my.sys", "HKLM,@@System\\CurrentControlSet\\Services\\my,A,,b", "HKR"),
    (1222, "0x00010001,7", "@@0x00030000,7", "0x00030000"),
    (1230, "[SourceDisksFiles]\nmy.sys = 1\n", "[SourceDisksFiles.x86]\nmy.sys = 1\n", "for amd64"),
    (1233, "CatalogFile = my.cat\n", "", "CatalogFile"),
    (1234, "Class       = MEDIA\n", "", "class"),
    (1235, ",my.sys\nHKR", ",@@%Nowhere%\\my.sys\nHKR", "%Nowhere%"),
    (1254, "ErrorControl  = 1\n", "", "ErrorControl"),
    (1271, "Models,NTamd64.10.0...16299", "Models,NTamd64.10.0...16299,@@NTmips", "mips"),
    (1273, "my.sys = 1\n", "my.sys = @@2\n", "\"2\""),
    (1280, "{4d36e96c-e325-11ce-bfc1-08002be10318}", "@@{4d36e96d-e325-11ce-bfc1-08002be10318}", "media"),
    (1281, "= MEDIA", "= @@Musical", "media"),
    (1285, "[Strings]", "@@[ClassInstall32]\n[Strings]", "Windows' own"),
    (1287, "Models,NTamd64.10.0...16299", "Models,NTamd64.10.0...16299,@@NTarm64.10.0", "[Models.NTarm64.10.0]"),
    (1288, "NTamd64.10.0...16299", "NTamd64.10.0...10240", "10240"),
    (1296, "[Install.NT.Services]", "[Install.NT.Service]", "[Install.NT.Services]"),
    (1297, ",PCI\\VEN_1234&DEV_0001", "", "hardware id"),
    (1303, "HKR,,Driver,,my.sys", "HKR,,@@CoInstallers32,0x00010000,\"x.dll\"", "co-installer"),
    (1310, "= KS.Registration", "= @@KS.Registration.Services", "another kind"),
    (1313, "Include   = ks.inf\n", "", "no Include"),
    (1320, "HKR,,Driver,,my.sys", "@@HKLM,Software\\My,A,,b", "HKLM"),
    (1322, "Files = 13", "Files = 16422", "DIRID 16422"),
    (1323, "[Service]", "[Service]\nAddReg = Parameters\n[Parameters]\nHKR,@@,A,,b\n[Service]", "Parameters"),
    (1324, "PnpLockdown = 1\n", "", "PnpLockdown"),
    (1330, "[Files]\nmy.sys\n", "[Files]\nmy.sys\n@@my.sys,other.sys\n", "other.sys"),
    (2010, "Models,NTamd64.10.0...16299\n\n[Models.NTamd64.10.0...16299]", "Models\n\n@@[Models]", "for x86"),
    (2083, "[Strings]", "@@[Orphan]\nHKR,,A,,b\n[Strings]", "[Orphan]"),
    (2084, "= %13%\\my.sys", "= @@%12%\\my.sys", "DIRID 12"),
    (2085, "= %13%\\my.sys", "= @@C:\\Windows\\my.sys", "of one machine"),
    (2222, "AddReg    = Registry", "AddReg    = Registry\n@@LogConfig = Fixed\n[Fixed]\nIOConfig=300", "LogConfig"),
];

fn text(findings: &[Finding]) -> String {
    findings.iter().map(|it| format!("{}:{} {:?} {}: {}\n", it.line, it.column, it.level, it.code, it.what)).collect()
}

#[test]
fn a_good_file_has_no_findings() {
    for mode in [Mode::Universal, Mode::Windows, Mode::Hardware] {
        let found = check(GOOD.as_bytes(), mode);
        assert!(found.is_empty(), "{mode:?}\n{}", text(&found));
        let dos: String = GOOD.replace('\n', "\r\n");
        assert!(check(dos.as_bytes(), mode).is_empty());
        let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain(dos.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert!(check(&wide, mode).is_empty());
    }
}

#[test]
fn every_rule_has_a_breach_that_is_found_at_its_place() {
    let mut wrong = Vec::new();
    for (code, good, bad, words) in BREACHES {
        assert!(GOOD.contains(good), "{code}: {good}");
        let marked = GOOD.replacen(good, bad, 1);
        let place = marked.find("@@").map(|at| {
            let before = &marked[..at];
            (before.matches('\n').count() + 1, before.chars().rev().take_while(|it| *it != '\n').count() + 1)
        });
        let found = check(marked.replace("@@", "").as_bytes(), Mode::Windows);
        let of_code: Vec<_> = found.iter().filter(|it| it.code == *code && it.what.contains(words)).collect();
        let here = |it: &&Finding| place.is_none_or(|place| (it.line, it.column) == place);
        if !of_code.iter().copied().any(|it| here(&it)) {
            wrong.push(format!("{code} {bad:?} at {place:?}:\n{}", text(&found)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let untested: Vec<u16> = RULES
        .iter()
        .map(|rule| rule.code)
        .filter(|code| *code != 1003 && !BREACHES.iter().any(|(of, ..)| of == code))
        .collect();
    assert_eq!(untested, [0_u16; 0], "rules without a breach");
}

#[test]
fn what_is_no_text_of_windows_is_named() {
    let utf8 = [b"\xef\xbb\xbf".as_slice(), GOOD.as_bytes()].concat();
    assert_eq!(check(&utf8, Mode::Universal).iter().map(|it| it.code).collect::<Vec<_>>(), [1003]);
    let big: Vec<u8> = [0xfe, 0xff].into_iter().chain(GOOD.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    assert_eq!(check(&big, Mode::Universal).iter().map(|it| it.code).collect::<Vec<_>>(), [1003]);
    assert_eq!(check(b"", Mode::Universal).iter().map(|it| it.code).collect::<Vec<_>>(), [1001]);
}

#[test]
fn modes_ask_for_different_things() {
    let levels = |text: &str, code: u16| {
        [Mode::Universal, Mode::Windows, Mode::Hardware]
            .map(|mode| check(text.as_bytes(), mode).iter().find(|it| it.code == code).map(|it| it.level))
    };
    let folder = GOOD.replace("Files = 13", "Files = 12").replace("%13%", "%12%");
    assert_eq!(levels(&folder, 1322), [None, Some(Level::Error), None]);
    let unlocked = GOOD.replace("PnpLockdown = 1\n", "");
    assert_eq!(levels(&unlocked, 1324), [Some(Level::Warning), Some(Level::Error), Some(Level::Error)]);
}

#[test]
fn the_project_s_inf_has_no_findings() {
    let bytes = include_bytes!("../../inf/dmuscard.inf");
    for mode in [Mode::Universal, Mode::Hardware] {
        let found = check(bytes, mode);
        assert!(found.is_empty(), "{mode:?}\n{}", text(&found));
    }
    // It installs on Windows that knows no other place.
    assert!(check(bytes, Mode::Windows).iter().all(|it| it.code == 1322));
}

#[test]
fn hostile_files_end_soon() {
    let deep: String =
        (0..2000).map(|at| format!("[S{at}]\nNeeds=S{}\nCopyFiles=S{at}\nAddReg=S{at}\n", at + 1)).collect();
    let text = format!("{}\n[Install.NT]\nNeeds=S0\n{deep}", GOOD.replace("[Install.NT]", "[Other]"));
    assert!(!check(text.as_bytes(), Mode::Windows).is_empty());
    let itself = GOOD.replace("Needs     = KS.Registration", "Needs     = Install.NT");
    _ = check(itself.as_bytes(), Mode::Windows);
    let quotes = format!("{GOOD}[Q]\n{}\n", "\"\"\"\"".repeat(10_000));
    _ = check(quotes.as_bytes(), Mode::Windows);
    for length in (0..GOOD.len()).step_by(7) {
        _ = check(&GOOD.as_bytes()[..length], Mode::Windows);
    }
}

#[test]
fn what_vendors_write_has_no_findings() {
    let clean = |text: &str, allowed: &[u16]| {
        let found = check(text.as_bytes(), Mode::Universal);
        let others: Vec<_> = found.iter().filter(|it| !allowed.contains(&it.code)).cloned().collect();
        assert!(others.is_empty(), "{}\n{text}", self::text(&others));
    };
    // A disk in a folder of the package; DIRID 13 has the file there, too.
    let folder = GOOD.replace("1 = %Disk%", "1 = %Disk%,,,\\amd64").replace("Files = 13", "Files = 13,amd64");
    clean(&folder.replace("%13%\\my.sys", "%13%\\amd64\\my.sys"), &[]);
    // A framework driver, with sections that its directives name.
    clean(
        &GOOD.replace(
            "[Strings]",
            "[Install.NT.Wdf]\nKmdfService = my,Framework\n[Framework]\nKmdfLibraryVersion = 1.33\n[Install.NT.Filters]\n\
             AddFilter = my,,Filter\n[Filter]\nFilterPosition = Upper\n[SignatureAttributes]\nmy.sys = Attributes\n[Strings]",
        ),
        &[],
    );
    // An extension has no function driver.
    let extension = GOOD
        .replace("= MEDIA", "= Extension")
        .replace("{4d36e96c-e325-11ce-bfc1-08002be10318}", "{e2f84ce7-8efa-411c-aa69-97454ca4cb57}")
        .replace("AddService = my,0x00000002,Service", "AddService = my,,Service");
    clean(&extension, &[]);
    // A driver without devices.
    let primitive = GOOD
        .replace("[Manufacturer]\n%Provider% = Models,NTamd64.10.0...16299\n", "")
        .replace("[Models.NTamd64.10.0...16299]\n%Device% = Install,PCI\\VEN_1234&DEV_0001\n", "")
        .replace("[Install.NT]", "[DefaultInstall.NTamd64]")
        .replace("[Install.NT.Services]", "[DefaultInstall.NTamd64.Services]")
        .replace("[SourceDisksFiles]", "[SourceDisksFiles.amd64]");
    clean(&primitive, &[]);
    // Numbers in any form, names that only begin like another.
    clean(&GOOD.replace("PnpLockdown = 1", "PnpLockdown = 0x1").replace("Some firm", "Microsofty"), &[]);
}
