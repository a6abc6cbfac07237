//! The answer file of Windows Setup, and the script of the first logon, from the texts in `images/windows`.

use super::error::ImageError;
use super::media::{Architecture, Family, Media, MediaKind, WimImage};
use crate::machine::installer::InstallerFirmware;

const ANSWER: &str = include_str!("../../../images/windows/autounattend.xml");
const PARTITIONS_UEFI: &str = include_str!("../../../images/windows/partitions-uefi.xml");
const PARTITIONS_BIOS: &str = include_str!("../../../images/windows/partitions-bios.xml");
const CHECKS: &str = include_str!("../../../images/windows/checks.xml");
const NO_NETWORK: &str = include_str!("../../../images/windows/no-network.xml");
const SCRIPT: &str = include_str!("../../../images/windows/setup.cmd");
const CERTIFICATES: &str = include_str!("../../../images/windows/certificates.cmd");

/// The components that answer files may use: pass, name, and the page of Microsoft's Unattended Windows Setup Reference
/// (learn.microsoft.com/windows-hardware/customize/desktop/unattend) that names the pass. An answer file with a component that its Windows does
/// not know is refused as a whole.
pub const COMPONENTS: [(&str, &str, &str); 7] = [
    ("windowsPE", "Microsoft-Windows-International-Core-WinPE", "microsoft-windows-international-core-winpe"),
    ("windowsPE", "Microsoft-Windows-Setup", "microsoft-windows-setup-userdata"),
    ("specialize", "Microsoft-Windows-Deployment", "microsoft-windows-deployment-runsynchronous"),
    // Its predecessor's page sends Windows 7 and later here: "Microsoft-Windows-Security-Licensing-SLC-UX", SkipAutoActivation.
    ("specialize", "Microsoft-Windows-Security-SPP-UX", "microsoft-windows-security-spp-ux-skipautoactivation"),
    ("specialize", "Microsoft-Windows-Shell-Setup", "microsoft-windows-shell-setup-timezone"),
    // The page of the first component says that its settings are here for this pass.
    ("oobeSystem", "Microsoft-Windows-International-Core", "microsoft-windows-international-core-winpe"),
    ("oobeSystem", "Microsoft-Windows-Shell-Setup", "microsoft-windows-shell-setup-firstlogoncommands"),
];

/// The settings of the component Microsoft-Windows-Shell-Setup, OOBE, that are used, with the first and last family that has each (the
/// page of the setting; that of `NetworkLocation` says that Windows 10 has deprecated it).
const OOBE: [(&str, &str, Family, Family); 4] = [
    ("HideWirelessSetupInOOBE", "true", Family::Seven, Family::Eleven),
    ("NetworkLocation", "Work", Family::Seven, Family::EightOne),
    ("HideOnlineAccountScreens", "true", Family::Eight, Family::Eleven),
    ("HideLocalAccountScreen", "true", Family::Eight, Family::Eleven),
];

/// What is installed, chosen from a disc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The image.
    pub image: WimImage,
    /// Its Windows.
    pub family: Family,
    /// The product key, where one is named.
    pub key: Option<String>,
}

impl Choice {
    /// Chooses an edition of a disc: by index, name or identifier; the only one without.
    ///
    /// # Errors
    /// [`ImageError::NoAnswerFile`] for a system that is not installed unattended here, [`ImageError::Edition`] for an edition that is
    /// not on the disc or not said, [`ImageError::NoKey`] and [`ImageError::KeyForm`] for a key that is missing or none.
    pub fn new(media: &Media, edition: Option<&str>, key: Option<&str>) -> Result<Self, ImageError> {
        let MediaKind::Windows(images) = &media.kind else {
            let system = match media.kind {
                MediaKind::OldWindows(family) => family.name(false),
                _ => "ReactOS",
            };
            return Err(ImageError::NoAnswerFile { system: system.into() });
        };
        let known =
            || images.iter().map(|image| format!("{} ({})", image.index, image.name)).collect::<Vec<_>>().join(", ");
        let is_meant = |image: &&WimImage| match edition {
            Some(wanted) => {
                image.index.to_string() == wanted
                    || [&image.name, &image.edition].iter().any(|name| name.eq_ignore_ascii_case(wanted))
            }
            None => true,
        };
        let mut meant = images.iter().filter(is_meant);
        let (Some(image), None) = (meant.next(), meant.next()) else {
            return Err(ImageError::Edition { wanted: edition.map(str::to_owned), known: known() });
        };
        let system = || format!("{} (build {})", image.name, image.build);
        let family = Family::of(image.build, image.server).filter(|family| *family >= Family::Seven);
        let Some(family) = family else { return Err(ImageError::NoAnswerFile { system: system() }) };
        if image.architecture == Architecture::Arm64 {
            return Err(ImageError::NoAnswerFile { system: format!("{} for ARM64", system()) });
        }
        match key {
            Some(key) if !is_key(key) => return Err(ImageError::KeyForm { key: key.into() }),
            None if needs_key(family, &image.edition) => return Err(ImageError::NoKey { system: system() }),
            _ => {}
        }
        Ok(Self { image: image.clone(), family, key: key.map(str::to_uppercase) })
    }

    /// Returns the answer file.
    #[must_use]
    pub fn answer_file(&self, firmware: &InstallerFirmware) -> String {
        let uefi = matches!(firmware, InstallerFirmware::Uefi { .. });
        let component = format!(
            "processorArchitecture=\"{}\" publicKeyToken=\"31bf3856ad364e35\" language=\"neutral\" versionScope=\"nonSxS\"",
            self.image.architecture.name()
        );
        let key = self.key.as_ref().map_or_else(String::new, |key| {
            format!("        <ProductKey><Key>{}</Key><WillShowUI>OnError</WillShowUI></ProductKey>\n", escape(key))
        });
        let oobe: String = OOBE
            .iter()
            .filter(|(name, _, first, last)| {
                (*first..=*last).contains(&self.family) && (*name != "HideLocalAccountScreen" || self.image.server)
            })
            .map(|(name, value, ..)| format!("        <{name}>{value}</{name}>\n"))
            .collect();
        let administrator = if self.image.server {
            "        <AdministratorPassword><Value>dmus</Value><PlainText>true</PlainText></AdministratorPassword>\n"
        } else {
            ""
        };
        let language = if self.image.language.is_empty() { "en-US" } else { &self.image.language };
        let eleven = self.family >= Family::Eleven && !self.image.server;
        fill(
            ANSWER,
            &[
                ("checks", if eleven { CHECKS } else { "" }),
                ("deployment", if eleven { NO_NETWORK } else { "" }),
                ("partitions", if uefi { PARTITIONS_UEFI } else { PARTITIONS_BIOS }),
                ("partition", if uefi { "3" } else { "1" }),
                ("index", &self.image.index.to_string()),
                ("key", &key),
                ("oobe", &oobe),
                ("administrator", administrator),
                ("language", &escape(language)),
                ("component", &component),
            ],
        )
    }

    /// Returns the script of the first logon, with the lines of a text file of Windows.
    #[must_use]
    pub fn script(&self, inf: &str, certificates: bool) -> String {
        // The page on pnputil's syntax: these verbs came with Windows 10.
        let pnputil = if self.family >= Family::Ten {
            format!("pnputil /add-driver \"%here%driver\\{inf}\" /install")
        } else {
            format!("pnputil -i -a \"%here%driver\\{inf}\"")
        };
        let certificates = if certificates { CERTIFICATES } else { "" };
        fill(SCRIPT, &[("certificates", certificates), ("pnputil", &pnputil)]).replace('\n', "\r\n")
    }
}

/// Replaces each `{{name}}` by its text, in order: what a text contains is replaced too by those behind it.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Tells whether Setup asks for a key that the answer file has none of: that of Windows 8 and 8.1 does, but for editions that are licensed
/// by volume or for evaluation. Microsoft's reference does not say so; users of the templates of joefitzgerald/packer-windows report it for retail
/// discs of 8.1 ("Add comments about `<key>` to Windows 8.1 Autounattend.xml"), where the evaluation's needs none.
fn needs_key(family: Family, edition: &str) -> bool {
    matches!(family, Family::Eight | Family::EightOne) && !edition.contains("Enterprise") && !edition.contains("Eval")
}

/// Tells whether a text has the form of a key: five groups of five letters or digits.
fn is_key(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.len() == 5
        && groups.iter().all(|group| group.len() == 5 && group.bytes().all(|it| it.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use roxmltree::Document;

    use super::super::media::BootWays;
    use super::*;

    /// The namespace of answer files.
    const NAMESPACE: &str = "urn:schemas-microsoft-com:unattend";

    fn media(build: u32, edition: &str, server: bool, architecture: Architecture) -> Media {
        let image = |index, edition: &str| WimImage {
            index,
            name: format!("Windows & {edition}"),
            edition: edition.into(),
            architecture,
            build,
            server,
            language: "de-DE".into(),
        };
        Media {
            volume: "X".into(),
            kind: MediaKind::Windows(vec![image(1, "Core"), image(2, edition)]),
            boots: BootWays { bios: true, uefi: true },
            bytes: 1,
            fingerprint: "x".into(),
        }
    }

    fn uefi() -> InstallerFirmware {
        InstallerFirmware::Uefi { code: PathBuf::new(), variables: PathBuf::new() }
    }

    #[test]
    fn answer_files_are_whole_and_use_only_components_that_their_pass_has() {
        const KEY: &str = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE";
        for (build, server) in
            [(7601, false), (9600, false), (19045, false), (26100, false), (17763, true), (20348, true), (26100, true)]
        {
            for architecture in [Architecture::X86, Architecture::Amd64] {
                for firmware in [InstallerFirmware::Bios, uefi()] {
                    let media = media(build, "Professional", server, architecture);
                    let choice = Choice::new(&media, Some("professional"), Some(KEY)).unwrap();
                    let text = choice.answer_file(&firmware);
                    assert!(!text.contains("{{"), "{text}");
                    let document = Document::parse(&text).unwrap();
                    let mut found = 0;
                    for node in document.descendants().filter(|node| node.has_tag_name((NAMESPACE, "component"))) {
                        let pass = node.parent().unwrap().attribute("pass").unwrap();
                        let name = node.attribute("name").unwrap();
                        assert!(COMPONENTS.iter().any(|known| (known.0, known.1) == (pass, name)), "{name} in {pass}");
                        assert_eq!(node.attribute("processorArchitecture"), Some(architecture.name()));
                        found += 1;
                    }
                    assert_eq!(found, if build >= 22000 && !server { 7 } else { 6 });
                    assert_eq!(text.contains("LabConfig"), build >= 22000 && !server);
                    assert_eq!(text.contains("HideOnlineAccountScreens"), build >= 9200);
                    assert_eq!(text.contains("NetworkLocation"), build < 10240);
                    assert_eq!(text.contains("<Type>EFI"), firmware != InstallerFirmware::Bios);
                    assert!(text.contains("<Value>2</Value>") && text.contains("de-DE") && text.contains(KEY));
                }
            }
        }
    }

    #[test]
    fn an_answer_file_without_a_key_has_no_empty_one() {
        let media = media(26100, "Enterprise", false, Architecture::Amd64);
        let text = Choice::new(&media, Some("2"), None).unwrap().answer_file(&uefi());
        assert!(!text.contains("ProductKey"), "{text}");
    }

    #[test]
    fn refuses_what_cannot_be_chosen() {
        let refused = |media: &Media, edition: Option<&str>, key: Option<&str>| {
            Choice::new(media, edition, key).unwrap_err().to_string()
        };
        let ten = media(19045, "Professional", false, Architecture::Amd64);
        assert!(refused(&ten, None, None).contains("1 (Windows & Core), 2 (Windows & Professional)"));
        assert!(refused(&ten, Some("Education"), None).contains("Education"));
        assert!(refused(&ten, Some("1"), Some("12345")).contains("12345"));
        let eight = media(9600, "Professional", false, Architecture::X86);
        assert!(refused(&eight, Some("2"), None).contains("key"));
        let vista = media(6002, "Ultimate", false, Architecture::X86);
        assert!(refused(&vista, Some("2"), None).contains("6002"));
        let arm = media(26100, "Professional", false, Architecture::Arm64);
        assert!(refused(&arm, Some("2"), None).contains("ARM64"));
        let old = Media { kind: MediaKind::OldWindows(Family::Xp), ..ten.clone() };
        assert!(refused(&old, None, None).contains("Windows XP"));
        assert!(refused(&Media { kind: MediaKind::ReactOs, ..ten }, None, None).contains("ReactOS"));
    }

    #[test]
    fn the_script_installs_by_the_verbs_that_its_windows_has() {
        let script = |build| {
            let media = media(build, "Enterprise", false, Architecture::Amd64);
            Choice::new(&media, Some("2"), None).unwrap().script("my.inf", true)
        };
        assert!(script(26100).contains("pnputil /add-driver \"%here%driver\\my.inf\" /install"));
        assert!(script(7601).contains("pnputil -i -a \"%here%driver\\my.inf\""));
        assert!(script(7601).contains("\r\ncertutil -addstore -f Root") && !script(7601).contains("{{"));
    }
}
