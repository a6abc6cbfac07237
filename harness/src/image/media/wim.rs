//! The header of a `.wim` or `.esd` file and the description of its images, which is stored without compression (Windows Imaging File Format,
//! Microsoft's white paper on WIM).

use roxmltree::{Document, Node};
use serde::{Deserialize, Serialize};

use super::disc::{Disc, DiscError, DiscFile, number};

/// Bytes of the header.
const HEADER: u64 = 208;

/// The first bytes of the file.
const MAGIC: &[u8] = b"MSWIM\0\0\0";

/// Most bytes of the description: those of discs with a dozen editions have some 50 KiB.
const DESCRIPTION_BYTES_MAX: u64 = 4 << 20;

/// Where the place of the description is in the header.
const DESCRIPTION: usize = 72;

/// The architecture of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// 32 bit.
    X86,
    /// 64 bit.
    Amd64,
    /// ARM, 64 bit. No guest runs it here.
    Arm64,
}

impl Architecture {
    /// Returns its name in answer files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// An image: an edition of a Windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WimImage {
    /// Its index, from 1.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The edition's identifier, such as `Professional`.
    pub edition: String,
    /// Its architecture.
    pub architecture: Architecture,
    /// The build.
    pub build: u32,
    /// Whether it is a server.
    pub server: bool,
    /// The default language, such as `en-US`.
    pub language: String,
}

/// Reads the images that a file describes.
///
/// # Errors
/// [`DiscError::Malformed`] for what is no such file, or whose description cannot be read.
pub(super) fn images(disc: &Disc, file: &DiscFile) -> Result<Vec<WimImage>, DiscError> {
    const WHAT: &str = "the description of the images";
    let header = file.read(disc, "the header of the images", 0, HEADER)?;
    let malformed =
        |what, fault: String| DiscError::Malformed { what, at: file.pieces.first().map_or(0, |it| it.0), fault };
    if !header.starts_with(MAGIC) {
        return Err(malformed("the header of the images", "does not begin with MSWIM".into()));
    }
    // Seven bytes of length, one of flags, then the offset.
    let (length, offset) = (number(&header, DESCRIPTION, 7), number(&header, DESCRIPTION + 8, 8));
    if length > DESCRIPTION_BYTES_MAX {
        return Err(malformed(
            WHAT,
            format!("has {length} bytes, more than the {DESCRIPTION_BYTES_MAX} that are read"),
        ));
    }
    let bytes = file.read(disc, WHAT, offset, length)?;
    let (text, _, broken) = encoding_rs::UTF_16LE.decode(&bytes);
    if broken {
        return Err(malformed(WHAT, "is no UTF-16".into()));
    }
    let document = Document::parse(&text).map_err(|error| malformed(WHAT, format!("is no XML: {error}")))?;
    let images = document.root_element().children().filter(|node| node.has_tag_name("IMAGE"));
    Ok(images.filter_map(image).collect())
}

/// Reads an image; `None` for one without a Windows.
fn image(node: Node<'_, '_>) -> Option<WimImage> {
    let windows = child(node, "WINDOWS")?;
    let architecture = match text(windows, "ARCH")?.as_str() {
        "0" => Architecture::X86,
        "9" => Architecture::Amd64,
        "12" => Architecture::Arm64,
        _ => return None,
    };
    let edition = text(windows, "EDITIONID").unwrap_or_default();
    let server = text(windows, "INSTALLATIONTYPE").is_some_and(|kind| kind.starts_with("Server"));
    Some(WimImage {
        index: node.attribute("INDEX")?.parse().ok()?,
        name: text(node, "NAME").or_else(|| text(node, "DISPLAYNAME")).unwrap_or_default(),
        server: server || edition.starts_with("Server"),
        edition,
        architecture,
        build: text(child(windows, "VERSION")?, "BUILD")?.parse().ok()?,
        language: child(windows, "LANGUAGES").and_then(|languages| text(languages, "DEFAULT")).unwrap_or_default(),
    })
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.has_tag_name(name))
}

fn text(node: Node<'_, '_>, name: &str) -> Option<String> {
    Some(child(node, name)?.text()?.trim().to_owned())
}
