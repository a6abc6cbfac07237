//! Reads of an answer file what an installer needs, and refuses what Windows Setup would not take: a malformed file, a component without
//! an architecture, no image, no disk.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use roxmltree::{Document, Node};

/// The namespace of answer files.
pub const NAMESPACE: &str = "urn:schemas-microsoft-com:unattend";

/// What an installer takes from an answer file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The index of the image in `install.wim`.
    pub index: u32,
    /// The disk to install on.
    pub disk: u32,
    /// The partition to install to.
    pub partition: u32,
    /// Partitions that are to be created.
    pub partitions: usize,
    /// Commands of the first logon, in order.
    pub commands: Vec<String>,
}

/// Why an answer file is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is no XML.
    #[error("it is no XML: {0}")]
    Malformed(String),
    /// An element or attribute is missing, or has no value that can be used.
    #[error("it has no usable {0}")]
    Missing(&'static str),
}

impl Answer {
    /// Reads an answer file.
    ///
    /// # Errors
    /// [`AnswerError::Malformed`] for what is no XML, [`AnswerError::Missing`] for the first thing that an installer needs and does not
    /// find.
    pub fn read(text: &str) -> Result<Self, AnswerError> {
        let document = Document::parse(text).map_err(|error| AnswerError::Malformed(alloc::format!("{error}")))?;
        let root = document.root_element();
        if !root.has_tag_name((NAMESPACE, "unattend")) {
            return Err(AnswerError::Missing("root element"));
        }
        if root.descendants().any(|node| is(&node, "component") && node.attribute("processorArchitecture").is_none()) {
            return Err(AnswerError::Missing("processorArchitecture of a component"));
        }
        let installer = component(root, "windowsPE", "Microsoft-Windows-Setup")
            .ok_or(AnswerError::Missing("component Microsoft-Windows-Setup in windowsPE"))?;
        let metadata = find(installer, "MetaData").ok_or(AnswerError::Missing("MetaData"))?;
        if child(metadata, "Key").as_deref() != Some("/IMAGE/INDEX") {
            return Err(AnswerError::Missing("/IMAGE/INDEX"));
        }
        let install_to = find(installer, "InstallTo").ok_or(AnswerError::Missing("InstallTo"))?;
        if find(installer, "UserData").and_then(|data| child(data, "AcceptEula")).as_deref() != Some("true") {
            return Err(AnswerError::Missing("AcceptEula"));
        }
        let shell = component(root, "oobeSystem", "Microsoft-Windows-Shell-Setup")
            .ok_or(AnswerError::Missing("component Microsoft-Windows-Shell-Setup in oobeSystem"))?;
        let logon = find(shell, "FirstLogonCommands").ok_or(AnswerError::Missing("FirstLogonCommands"))?;
        Ok(Self {
            index: number(metadata, "Value").ok_or(AnswerError::Missing("image index"))?,
            disk: number(install_to, "DiskID").ok_or(AnswerError::Missing("DiskID"))?,
            partition: number(install_to, "PartitionID").ok_or(AnswerError::Missing("PartitionID"))?,
            partitions: installer.descendants().filter(|node| is(node, "CreatePartition")).count(),
            commands: logon
                .children()
                .filter(|node| is(node, "SynchronousCommand"))
                .filter_map(|command| child(command, "CommandLine"))
                .collect(),
        })
    }
}

fn is(node: &Node<'_, '_>, name: &str) -> bool {
    node.has_tag_name((NAMESPACE, name))
}

fn component<'a, 'input>(root: Node<'a, 'input>, pass: &str, name: &str) -> Option<Node<'a, 'input>> {
    let settings = root.children().find(|node| is(node, "settings") && node.attribute("pass") == Some(pass))?;
    settings.children().find(|node| is(node, "component") && node.attribute("name") == Some(name))
}

fn find<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.descendants().find(|node| is(node, name))
}

fn child(node: Node<'_, '_>, name: &str) -> Option<String> {
    node.children().find(|node| is(node, name))?.text().map(|text| text.trim().to_owned())
}

fn number(node: Node<'_, '_>, name: &str) -> Option<u32> {
    child(node, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<unattend xmlns="urn:schemas-microsoft-com:unattend">
 <settings pass="windowsPE"><component name="Microsoft-Windows-Setup" processorArchitecture="amd64">
  <DiskConfiguration><Disk><CreatePartitions><CreatePartition/><CreatePartition/></CreatePartitions></Disk></DiskConfiguration>
  <ImageInstall><OSImage><InstallFrom><MetaData><Key>/IMAGE/INDEX</Key><Value>3</Value></MetaData></InstallFrom>
  <InstallTo><DiskID>0</DiskID><PartitionID>2</PartitionID></InstallTo></OSImage></ImageInstall>
  <UserData><AcceptEula>true</AcceptEula></UserData>
 </component></settings>
 <settings pass="oobeSystem"><component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64">
  <FirstLogonCommands><SynchronousCommand><Order>1</Order><CommandLine>cmd /c x</CommandLine></SynchronousCommand></FirstLogonCommands>
 </component></settings>
</unattend>"#;

    #[test]
    fn reads_image_disk_and_commands() {
        let answer = Answer::read(GOOD).unwrap();
        let commands = alloc::vec!["cmd /c x".to_owned()];
        assert_eq!(answer, Answer { index: 3, disk: 0, partition: 2, partitions: 2, commands });
    }

    #[test]
    fn refuses_what_setup_would_not_take() {
        for (good, bad, named) in [
            ("</unattend>", "</unattended>", "no XML"),
            ("urn:schemas-microsoft-com:unattend\"", "urn:other\"", "root element"),
            (" processorArchitecture=\"amd64\"", "", "processorArchitecture"),
            ("/IMAGE/INDEX", "/IMAGE/NAME", "/IMAGE/INDEX"),
            ("<Value>3", "<Value>three", "image index"),
            ("<AcceptEula>true", "<AcceptEula>false", "AcceptEula"),
            ("oobeSystem", "specialize", "oobeSystem"),
        ] {
            let error = Answer::read(&GOOD.replace(good, bad)).unwrap_err();
            assert!(alloc::format!("{error}").contains(named), "{error}");
        }
    }
}
