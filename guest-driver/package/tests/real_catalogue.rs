//! The trust list of a real catalogue of version 2 that Microsoft signed, from its members and attributes as numbers.

use driver_package::{Catalog, HashedFile, Kind, NameValue, Systems, Version};
use sha2::{Digest, Sha256};

/// The moment in the list: 2021-03-25 18:43:20.
const MADE: u64 = 1_616_697_800;

/// The package's attributes, in the list's order.
const ATTRIBUTES: [(&str, &str); 12] = [
    ("Submission ID", "30892600_14541832356421827_1152921505693320697"),
    ("BundleID", "virtio_net_arm64"),
    ("Universal", "False"),
    ("Declarative", "True"),
    ("OS", "_v100_ARM64_RS3,_v100_ARM64_RS4,_v100_ARM64_19H1,_v100_ARM64_Vb"),
    ("HWID7", r"acpi\ven_prl&dev_4009"),
    ("HWID6", r"acpi\ven_1af4&dev_1041"),
    ("HWID5", r"acpi\ven_1af4&dev_1000"),
    ("HWID4", r"pci\ven_1af4&dev_1041"),
    ("HWID3", r"pci\ven_1af4&dev_1041&subsys_11001ab8&rev_01"),
    ("HWID2", r"pci\ven_1af4&dev_1000"),
    ("HWID1", r"pci\ven_1af4&dev_1000&subsys_00011ab8&rev_00"),
];

fn bytes<const N: usize>(digits: &str) -> [u8; N] {
    std::array::from_fn(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
}

fn file(name: &str, kind: Kind, sha1: &str, sha256: &str) -> HashedFile {
    HashedFile { name: name.into(), kind, sha1: bytes(sha1), sha256: bytes(sha256) }
}

#[test]
fn a_real_catalogue_comes_out_byte_for_byte() {
    let files = [
        file(
            "netkvm.inf",
            Kind::Flat,
            "d8636eab9d384b7124520ae4aab9a2f8800f9972",
            "83f2d471ff4dc99fcbeccad08f5ed363c93bdb171ed81df1eb8f17f12faeaef6",
        ),
        file(
            "netkvm.sys",
            Kind::Image,
            "902e6b4eaadfa78a54b94c795f594c493967da4c",
            "d9b1fee75bf14ed6d114c44a793a1c1769e6272834055485b7b6350f0adf1d62",
        ),
    ];
    let systems = Systems { versions: "2:10.0".into(), names: ATTRIBUTES[4].1.into() };
    let ids: Vec<String> = ATTRIBUTES[5..].iter().rev().map(|(_, id)| id.to_uppercase()).collect();
    let mut catalog = Catalog::new(Version::V2, &files, &systems, &ids, MADE);
    catalog.list_identifier = bytes::<16>("47f36f31267ae64584d143888f05ee83").to_vec();
    let of_the_portal =
        ATTRIBUTES[..4].iter().map(|(name, value)| NameValue { name: (*name).into(), value: (*value).into() });
    catalog.attributes.splice(0..0, of_the_portal);
    let list = catalog.to_der().unwrap();
    let hash: String = Sha256::digest(&list).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(list.len(), 2099);
    assert_eq!(hash, "c9a88285d44391a9e4db1e62325c92a47896ef03e5b7ecd76201dc7c8ec9505d");
}
