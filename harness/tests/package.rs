//! Catalogues of folders, as `dmus cat` makes and checks them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const INF: &str = "[Version]\r\nSignature=\"$Windows NT$\"\r\nClass=MEDIA\r\nDriverVer=03/02/2026,1.0.0.0\r\nCatalogFile=my.cat\r\n\
    [Manufacturer]\r\n%P%=Models,NTx86.6.1,NTamd64.6.2\r\n\
    [Models.NTx86.6.1]\r\n%P%=Install,PCI\\VEN_1234&DEV_1\r\n[Models.NTamd64.6.2]\r\n%P%=Install,PCI\\VEN_1234&DEV_1\r\n\
    [SourceDisksNames]\r\n1=d\r\n[SourceDisksFiles]\r\nmy.bin=1\r\nother.bin=1,Sub\r\n[Strings]\r\nP=\"p\"\r\n";

/// Writes a folder with an INF and the files that it copies.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("package")).unwrap();
    fs::create_dir(folder.path().join("package/sub")).unwrap();
    fs::write(folder.path().join("package/my.inf"), INF).unwrap();
    fs::write(folder.path().join("package/MY.BIN"), "one").unwrap();
    fs::write(folder.path().join("package/sub/other.bin"), "two").unwrap();
    folder
}

/// Runs `dmus cat` with a test certificate of its own below a folder.
fn cat(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmus"));
    command.arg("cat").args(arguments).current_dir(folder).env("XDG_DATA_HOME", folder.join("data")).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

#[test]
fn a_folder_is_catalogued_and_what_changes_in_it_is_named() {
    let folder = folder();
    let built = cat(folder.path(), &["build", "package", "--arch", "x64", "--json"]);
    assert!(built.status.success(), "{}", text(&built));
    let object = json(&built);
    assert_eq!(
        (object["version"].as_u64(), object["holds"].as_bool()),
        (Some(2), Some(true)),
        "Windows 8 and later read it"
    );
    assert_eq!(object["attributes"][0]["value"], "8X64,_v63_X64,_v100_X64");
    assert_eq!(object["made"], "2026-03-02 00:00:00");
    let before = fs::read(folder.path().join("package/my.cat")).unwrap();
    assert!(cat(folder.path(), &["build", "package", "--arch", "x64"]).status.success());
    assert_eq!(before, fs::read(folder.path().join("package/my.cat")).unwrap(), "the same input makes the same bytes");
    for path in ["package", "package/my.cat"] {
        let verified = cat(folder.path(), &["verify", path]);
        assert!(verified.status.success(), "{path}: {}", text(&verified));
    }

    fs::write(folder.path().join("package/sub/other.bin"), "twO").unwrap();
    let found = cat(folder.path(), &["verify", "package/my.cat"]);
    assert_eq!(found.status.code(), Some(1), "{}", text(&found));
    assert!(text(&found).contains("ALTERED   Sub/other.bin"), "{}", text(&found));

    let shown = json(&cat(folder.path(), &["show", "package/my.cat", "--json"]));
    let members = shown["members"].as_array().unwrap();
    assert_eq!(members.len(), 6, "two hashes of three files");
}

#[test]
fn a_version_that_all_systems_of_the_inf_read_is_chosen() {
    let folder = folder();
    let built = json(&cat(folder.path(), &["build", "package", "--arch", "x86", "--json"]));
    assert_eq!((&built["version"], &built["attributes"][0]["value"]), (&1.into(), &"7X86,8X86,_v63,_v100".into()));
    let built = json(&cat(folder.path(), &["build", "package", "--arch", "x86", "--catalog-version", "2", "--json"]));
    assert_eq!((&built["version"], &built["attributes"][0]["value"]), (&2.into(), &"8X86,_v63,_v100".into()));
}

#[test]
fn unsigned_is_said_and_refused() {
    let folder = folder();
    assert!(cat(folder.path(), &["build", "package", "--arch", "x64", "--unsigned"]).status.success());
    assert!(!folder.path().join("data").exists(), "no certificate is made for nothing");
    let found = cat(folder.path(), &["verify", "package/my.cat"]);
    assert_eq!(found.status.code(), Some(1));
    assert!(text(&found).contains("the catalogue is not signed (0xE000022F)"), "{}", text(&found));
}

#[test]
fn what_is_no_package_is_refused_with_its_cause() {
    let folder = folder();
    let refused = |arguments: &[&str], code: i32, words: &str| {
        let output = cat(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains(words), "{arguments:?}: {}", text(&output));
    };
    refused(&["build", "package"], 8, "it has models for x86 and x64: say which of them the folder is for");
    refused(&["build", "package", "--arch", "arm64"], 8, "it has no models for arm64");
    refused(&["build", "nowhere"], 8, "cannot read nowhere");
    refused(&["verify", "package"], 8, "has 0 catalogues");
    refused(&["verify", "package/my.inf"], 8, "is no catalogue");
    fs::remove_file(folder.path().join("package/MY.BIN")).unwrap();
    refused(&["build", "package", "--arch", "x64"], 8, "it copies my.bin, which is not in package");
    fs::write(folder.path().join("package/second.inf"), INF).unwrap();
    refused(&["build", "package", "--arch", "x64"], 8, "it has 2 INFs");
    refused(&["build", "package", "--arch", "x64", "--inf", "third.inf"], 8, "it has no third.inf");
    refused(&["verify", "nowhere"], 8, "cannot read nowhere");
    fs::remove_file(folder.path().join("package/second.inf")).unwrap();
    fs::write(folder.path().join("package/my.inf"), INF.replace("03/02/2026", "13/02/2026")).unwrap();
    refused(&["build", "package", "--arch", "x64"], 8, "my.inf:4: DriverVer is \"13/02/2026\"");
    fs::remove_file(folder.path().join("data/dmus/test-signer/signer.key")).unwrap();
    refused(&["build", "package", "--arch", "x64"], 9, "has no signer.key: the test certificate is not whole");
    fs::write(folder.path().join("junk"), "junk").unwrap();
    refused(
        &["build", "package", "--cert", "junk", "--key", "junk"],
        8,
        "junk cannot be used to sign: it holds no certificate",
    );
    refused(&["build", "package", "--cert", "junk"], 2, "--key");
}

#[test]
fn an_inf_is_checked_with_places_and_codes() {
    let folder = folder();
    let check = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_dmus"))
            .arg("check-inf")
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let found = check(&["package/my.inf"]);
    assert_eq!(found.status.code(), Some(1), "{}", text(&found));
    assert!(text(&found).contains("package/my.inf:9:5: error 1203: there is no section [Install]"), "{}", text(&found));
    let object = json(&check(&["package/my.inf", "--json"]));
    assert_eq!((object["failed"].as_bool(), object["findings"][0]["code"].as_u64()), (Some(true), Some(1234)));
    let unread = check(&["nowhere.inf", "package/my.inf"]);
    assert_eq!(unread.status.code(), Some(8));
    assert!(
        text(&unread).contains("error 1203") && text(&unread).contains("cannot read nowhere.inf"),
        "{}",
        text(&unread)
    );
    assert!(text(&check(&["--rules"])).contains("1230"));
}

#[test]
fn a_file_that_is_gone_is_noticed_though_another_has_its_bytes() {
    let folder = folder();
    fs::write(folder.path().join("package/sub/other.bin"), "one").unwrap();
    assert!(cat(folder.path(), &["build", "package", "--arch", "x64"]).status.success());
    fs::remove_file(folder.path().join("package/sub/other.bin")).unwrap();
    let found = cat(folder.path(), &["verify", "package"]);
    assert_eq!(found.status.code(), Some(1), "{}", text(&found));
    assert!(text(&found).contains("MISSING   Sub/other.bin"), "{}", text(&found));
}

#[test]
fn a_certificate_that_no_windows_takes_costs_no_catalogue() {
    let folder = folder();
    assert!(cat(folder.path(), &["build", "package", "--arch", "x64"]).status.success());
    let before = fs::read(folder.path().join("package/my.cat")).unwrap();
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca",
            "-days", "9",
        ])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let refused = cat(folder.path(), &["build", "package", "--arch", "x64", "--cert", "ca.pem", "--key", "ca.key"]);
    assert_eq!(refused.status.code(), Some(8), "{}", text(&refused));
    assert!(text(&refused).contains("CA:TRUE"), "{}", text(&refused));
    assert_eq!(before, fs::read(folder.path().join("package/my.cat")).unwrap());
}
