//! Images and catalogues that are signed, read back, altered, and shown to another implementation.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use der::Encode;
use driver_package::{
    Catalog, FileState, FolderVerdict, HashedFile, Image, SignedCatalog, Signer, Systems, TestAuthority, Version,
    unsigned_catalog, without_signature,
};

/// 2026-11-22.
const MADE: u64 = 1_795_305_600;

const INF: &str = "[Version]\r\nSignature=\"$Windows NT$\"\r\nDriverVer=11/22/2026,1.0.0.0\r\nCatalogFile=my.cat\r\n\
    [Manufacturer]\r\n%P%=M,NTamd64.6.1\r\n[M.NTamd64.6.1]\r\n%P%=I,PCI\\VEN_1\r\n\
    [SourceDisksNames]\r\n1=d\r\n[SourceDisksFiles]\r\nmy.sys=1\r\n[Strings]\r\nP=\"p\"\r\n";

/// Keys take a while to make.
fn authority() -> &'static TestAuthority {
    static AUTHORITY: OnceLock<TestAuthority> = OnceLock::new();
    AUTHORITY.get_or_init(|| TestAuthority::create().unwrap())
}

/// An image for 64 or 32 bits with headers and some bytes.
fn image(wide: bool, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; 0x40];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c..0x40].copy_from_slice(&0x40_u32.to_le_bytes());
    bytes.extend(b"PE\0\0");
    let (machine, directories) = if wide { (0x8664_u16, 112) } else { (0x14c, 96) };
    let optional: u16 = directories + 16 * 8;
    bytes.extend(machine.to_le_bytes());
    bytes.extend([0; 14]);
    bytes.extend(optional.to_le_bytes());
    bytes.extend(0x22_u16.to_le_bytes());
    let begin = bytes.len();
    bytes.resize(begin + usize::from(optional), 0);
    bytes[begin..begin + 2].copy_from_slice(&(if wide { 0x20b_u16 } else { 0x10b }).to_le_bytes());
    bytes[begin + usize::from(directories) - 4..begin + usize::from(directories)]
        .copy_from_slice(&16_u32.to_le_bytes());
    let used = bytes.len();
    bytes.extend((used..length).map(|at| (at * 7) as u8));
    bytes
}

fn systems() -> Systems {
    Systems { versions: "2:6.1,2:6.2,2:6.3,2:10.0".into(), names: "7X64,8X64,_v100_X64".into() }
}

/// Writes a package with a signed image and a catalogue of a version.
fn package(folder: &Path, version: Version) {
    let signer = authority().signer();
    fs::write(folder.join("my.sys"), signer.sign_image("my.sys", &image(true, 1003)).unwrap()).unwrap();
    fs::write(folder.join("my.inf"), INF).unwrap();
    let files = ["my.inf", "my.sys"].map(|name| HashedFile::read(&folder.join(name)).unwrap());
    let catalog = Catalog::new(version, &files, &systems(), &[r"PCI\VEN_1AF4&DEV_10F0".into()], MADE);
    fs::write(folder.join("my.cat"), signer.sign_catalog(&catalog).unwrap()).unwrap();
}

fn verdict(folder: &Path) -> FolderVerdict {
    FolderVerdict::of(folder, &folder.join("my.cat"), SystemTime::now()).unwrap()
}

/// Returns why a Windows would refuse.
fn refusals(verdict: &FolderVerdict, windows: &str) -> String {
    verdict.windows.iter().find(|it| it.name == windows).unwrap().refusals.join("; ")
}

#[test]
fn a_signature_changes_no_hash_of_an_image_and_can_be_taken_out() {
    for wide in [false, true] {
        for length in [400, 1000, 1003] {
            let plain = image(wide, length);
            let signed = authority().signer().sign_image("my.sys", &plain).unwrap();
            let again = authority().signer().sign_image("my.sys", &signed).unwrap();
            assert_eq!(signed, again, "signing twice is signing once");
            assert_eq!(HashedFile::of("x", &plain).unwrap(), HashedFile::of("x", &signed).unwrap(), "{wide} {length}");
            assert_eq!(signed.len() % 8, 0);
            assert!(Image::read("x", &signed).unwrap().is_signed());
            let without = without_signature("x", &signed).unwrap();
            assert!(!Image::read("x", &without).unwrap().is_signed());
            assert_eq!(HashedFile::of("x", &plain).unwrap(), HashedFile::of("x", &without).unwrap());
        }
    }
}

#[test]
fn a_package_is_what_its_catalogue_says() {
    let folder = tempfile::tempdir().unwrap();
    for version in [Version::V1, Version::V2] {
        package(folder.path(), version);
        let verdict = verdict(folder.path());
        assert!(verdict.files.iter().all(|file| file.state == FileState::Listed), "{:?}", verdict.files);
        assert!(verdict.catalog.is_sound(), "{:?}", verdict.catalog);
        let signature = &verdict.catalog.signatures[0];
        assert_eq!((signature.chain.len(), signature.hash.as_str()), (2, "SHA-256"));
        assert_eq!(refusals(&verdict, "Windows 10 and 11"), "");
        assert_eq!(refusals(&verdict, "Windows 7").contains("version 2"), version == Version::V2);
        assert_eq!(
            verdict.holds(),
            version == Version::V1,
            "version 2 is not for Windows 7, which the catalogue names"
        );
        let read = &verdict.catalog.catalog;
        assert_eq!((read.version, read.made, read.made_text().as_str()), (version, MADE, "2026-11-22 00:00:00"));
        assert_eq!(read.attributes[1].value, r"pci\ven_1af4&dev_10f0");
    }
}

#[test]
fn one_altered_byte_of_any_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, place) in [("my.sys", 900), ("my.inf", 3)] {
        package(folder.path(), Version::V2);
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[place] ^= 1;
        fs::write(&path, bytes).unwrap();
        let verdict = verdict(folder.path());
        let altered: Vec<_> = verdict.files.iter().filter(|file| file.state == FileState::Altered).collect();
        assert_eq!(altered.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), [name]);
        assert!(refusals(&verdict, "Windows 10 and 11").contains(&format!("{name} was altered")));
        let of_image = verdict.files.iter().find(|file| file.name == "my.sys").unwrap();
        let embedded = of_image.signature.as_ref().unwrap().faults.join("; ");
        assert_eq!(embedded.contains("altered since it was signed"), name == "my.sys", "{embedded}");
    }
}

#[test]
fn files_that_are_gone_or_new_are_named() {
    let folder = tempfile::tempdir().unwrap();
    package(folder.path(), Version::V2);
    fs::write(folder.path().join("notes.txt"), "not installed").unwrap();
    assert!(verdict(folder.path()).files.iter().all(|file| file.state == FileState::Listed));
    fs::write(folder.path().join("my.inf"), INF.replace("my.sys=1", "my.sys=1\r\nother.dll=1\r\nthird.dll=1")).unwrap();
    fs::write(folder.path().join("other.dll"), "new").unwrap();
    fs::remove_file(folder.path().join("my.sys")).unwrap();
    let text = refusals(&verdict(folder.path()), "Windows 8.1");
    for words in [
        "my.inf was altered",
        "other.dll is not in the catalogue",
        "third.dll is not in the folder",
        "my.sys is not in the folder",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    fs::remove_file(folder.path().join("my.inf")).unwrap();
    let text = refusals(&verdict(folder.path()), "Windows 8.1");
    assert!(
        text.contains("notes.txt is not in the catalogue") && text.contains("my.inf is not in the folder"),
        "{text}"
    );
}

#[test]
fn every_altered_byte_of_a_catalogue_is_noticed() {
    let file = HashedFile::of("my.inf", INF.as_bytes()).unwrap();
    let catalog = Catalog::new(Version::V2, &[file], &systems(), &[], MADE);
    let whole = authority().signer().sign_catalog(&catalog).unwrap();
    let signed = SignedCatalog::read("my.cat", &whole, SystemTime::now()).unwrap();
    assert!(signed.is_sound());
    // What is signed, and the signature at the end; a certificate has bytes of its own that its issuer's signature covers.
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 4;
        if let Ok(read) = SignedCatalog::read("my.cat", &bytes, SystemTime::now())
            && read.is_sound()
        {
            // The algorithms are named twice; the outer list of them is not signed, and nothing is looked up in it.
            assert_eq!(read.catalog, signed.catalog, "byte {place}");
            assert_eq!(read.signatures[0].fingerprint, signed.signatures[0].fingerprint, "byte {place}");
        }
    }
}

#[test]
fn hostile_bytes_are_refused() {
    let file = HashedFile::of("my.inf", INF.as_bytes()).unwrap();
    let whole = unsigned_catalog(&Catalog::new(Version::V1, &[file], &systems(), &[], MADE)).unwrap();
    let unsigned = SignedCatalog::read("my.cat", &whole, SystemTime::now()).unwrap();
    assert!(!unsigned.is_sound() && unsigned.signatures.is_empty());
    for length in 0..whole.len() {
        SignedCatalog::read("my.cat", &whole[..length], SystemTime::now()).unwrap_err();
    }
    let nested: Vec<u8> = std::iter::repeat_n([0x30, 0x80], 10_000).flatten().collect();
    SignedCatalog::read("my.cat", &nested, SystemTime::now()).unwrap_err();
    let plain = image(true, 600);
    for length in 0..328 {
        Image::read("x", &plain[..length]).unwrap_err();
    }
    let signed = authority().signer().sign_image("x", &plain).unwrap();
    Image::read("x", &signed[..signed.len() - 8]).unwrap_err();
}

#[test]
fn a_certificate_that_is_over_is_named() {
    let folder = tempfile::tempdir().unwrap();
    package(folder.path(), Version::V1);
    let later = SystemTime::now() + Duration::from_secs(21 * 365 * 86400);
    let verdict = FolderVerdict::of(folder.path(), &folder.path().join("my.cat"), later).unwrap();
    assert!(refusals(&verdict, "Windows 7").contains("is not valid after"), "{verdict:?}");
}

#[test]
fn a_signer_that_may_issue_certificates_is_refused() {
    let signer = authority();
    let key = signer.key_pem().unwrap();
    let root = signer.root.to_der().unwrap();
    let error = Signer::read(("root.cer", &root), ("my.key", key.as_bytes())).unwrap_err().to_string();
    assert!(error.contains("it is not the key of the first certificate in root.cer"), "{error}");
    // A store of PKCS #12 begins so: a sequence with the number 3.
    let error = Signer::read(("my.p12", &[0x30, 3, 2, 1, 3]), ("my.key", b"")).unwrap_err().to_string();
    assert!(error.contains("openssl pkcs12 -in my.p12"), "{error}");
    let read = Signer::read(("my.cer", &signer.certificate.to_der().unwrap()), ("my.key", key.as_bytes())).unwrap();
    assert_eq!(read.certificates().len(), 1);
    let error = Signer::read(("my.cer", b"junk"), ("my.key", b"")).unwrap_err().to_string();
    assert!(error.contains("my.cer cannot be used to sign: it holds no certificate"), "{error}");
}

#[test]
fn another_implementation_agrees() {
    if !has_osslsigncode() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    package(folder.path(), Version::V2);
    let root = folder.path().join("root.pem");
    let pem = <_ as der::EncodePem>::to_pem(&authority().root, der::pem::LineEnding::LF).unwrap();
    fs::write(&root, pem).unwrap();
    for (arguments, file) in
        [(vec!["verify"], "my.sys"), (vec!["verify", "-catalog", "my.cat"], "my.sys"), (vec!["verify"], "my.cat")]
    {
        let mut command = Command::new("osslsigncode");
        command.args(&arguments).args(["-CAfile", "root.pem", "-in", file]).current_dir(folder.path());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} {file}: {text}");
    }
}

#[test]
fn a_directory_entry_over_the_headers_is_refused() {
    let mut bytes = image(true, 600);
    let entry = 0x40 + 24 + 112 + 4 * 8;
    let rest = (bytes.len() - entry - 4) as u32;
    bytes[entry..entry + 4].copy_from_slice(&(entry as u32 + 4).to_le_bytes());
    bytes[entry + 4..entry + 8].copy_from_slice(&rest.to_le_bytes());
    let error = HashedFile::of("my.sys", &bytes).unwrap_err().to_string();
    assert!(error.contains("certificate table"), "{error}");
}

#[test]
fn attributes_in_another_order_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    package(folder.path(), Version::V2);
    let path = folder.path().join("my.cat");
    let mut bytes = fs::read(&path).unwrap();
    // The signed attributes: the type of the content is an attribute of 25 bytes behind their tag; the address of what is signed, of 16.
    let statement: &[u8] = &[0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x0c];
    let at = bytes.windows(statement.len()).position(|window| window == statement).unwrap() - 2;
    let first = usize::from(bytes[at + 1]) + 2;
    let second = usize::from(bytes[at + first + 1]) + 2;
    bytes[at..at + first + second].rotate_left(first);
    fs::write(&path, bytes).unwrap();
    let verdict = verdict(folder.path());
    assert!(!verdict.holds());
    assert!(refusals(&verdict, "Windows 10 and 11").contains("attributes of a signature"), "{:?}", verdict.windows);
}

#[test]
fn a_catalogue_that_names_no_known_windows_holds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    package(folder.path(), Version::V2);
    let file = HashedFile::read(&folder.path().join("my.inf")).unwrap();
    let systems = Systems { versions: "2:11.0".into(), names: "_v110_X64".into() };
    let catalog = Catalog::new(Version::V2, &[file], &systems, &[], MADE);
    fs::write(folder.path().join("my.cat"), authority().signer().sign_catalog(&catalog).unwrap()).unwrap();
    assert!(!verdict(folder.path()).holds());
}

#[test]
fn a_program_for_dos_is_hashed_as_it_is_and_a_cut_image_is_altered() {
    let dos = HashedFile::of("my.com", b"MZ and no more").unwrap();
    assert_eq!(dos.kind, driver_package::Kind::Flat);
    let folder = tempfile::tempdir().unwrap();
    package(folder.path(), Version::V1);
    let path = folder.path().join("my.sys");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 8]).unwrap();
    let verdict = verdict(folder.path());
    let file = verdict.files.iter().find(|file| file.name == "my.sys").unwrap();
    assert_eq!(file.state, FileState::Altered);
    assert!(refusals(&verdict, "Windows 7").contains("my.sys was altered"), "{:?}", verdict.windows);
}

#[test]
fn a_time_stamp_of_another_tool_is_checked() {
    if !has_osslsigncode() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| {
        let mut words = line.split(' ');
        let output = Command::new(words.next().unwrap()).args(words).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run("openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -subj /CN=root -days 30");
    for (name, usage, days) in [("leaf", "codeSigning", 1), ("tsa", "critical,timeStamping", 30)] {
        fs::write(folder.path().join("ext"), format!("basicConstraints=critical,CA:FALSE\nextendedKeyUsage={usage}\n"))
            .unwrap();
        run(&format!("openssl req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        run(&format!(
            "openssl x509 -req -in {name}.csr -CA root.pem -CAkey root.key -set_serial {days} -out {name}.pem -days {days} -extfile ext"
        ));
    }
    let chain = ["leaf.pem", "root.pem"].map(|name| fs::read(folder.path().join(name)).unwrap()).concat();
    fs::write(folder.path().join("chain.pem"), chain).unwrap();
    let plain = without_signature("x", &image(true, 1000)).unwrap();
    fs::write(folder.path().join("plain.sys"), plain).unwrap();
    run(
        "osslsigncode sign -certs chain.pem -key leaf.key -TSA-certs tsa.pem -TSA-key tsa.key -in plain.sys -out my.sys",
    );
    package_of(folder.path());
    let later = SystemTime::now() + Duration::from_secs(5 * 86400);
    let signature = || {
        let verdict = FolderVerdict::of(folder.path(), &folder.path().join("my.cat"), later).unwrap();
        verdict.files.into_iter().find(|file| file.name == "my.sys").unwrap().signature.unwrap()
    };
    let stamped = signature();
    assert!(
        stamped.has_time_stamp && stamped.faults.is_empty(),
        "the certificate is over, the stamp is before: {stamped:?}"
    );
    let path = folder.path().join("my.sys");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 60;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let broken = signature();
    assert!(!broken.has_time_stamp && broken.faults.iter().any(|fault| fault.contains("its time stamp")), "{broken:?}");
}

/// Returns whether osslsigncode is here, in the first version that checks images by catalogues and stamps by itself, 2.9; says so else.
fn has_osslsigncode() -> bool {
    let output = Command::new("osslsigncode").arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let version = text.split_whitespace().find_map(|word| {
        let (major, minor) = word.trim_end_matches(',').split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.split('.').next()?.parse::<u32>().ok()?))
    });
    let is_there = version.is_some_and(|version| version >= (2, 9));
    if !is_there {
        println!("osslsigncode 2.9 or later is missing: nothing compared");
    }
    is_there
}

/// Writes INF and catalogue beside an image.
fn package_of(folder: &Path) {
    fs::write(folder.join("my.inf"), INF).unwrap();
    let files = ["my.inf", "my.sys"].map(|name| HashedFile::read(&folder.join(name)).unwrap());
    let catalog = Catalog::new(Version::V1, &files, &systems(), &[], MADE);
    fs::write(folder.join("my.cat"), authority().signer().sign_catalog(&catalog).unwrap()).unwrap();
}
