//! What Windows has of its own: classes, services, sections, values.

/// Classes of Windows' own that drivers of devices have, with their GUIDs (page "System-Defined Device Setup Classes Available to
/// Vendors").
pub(super) const CLASSES: &[(&str, &str)] = &[
    ("battery", "{72631e54-78a4-11d0-bcf7-00aa00b7b32a}"),
    ("bluetooth", "{e0cbf06c-cd8b-4647-bb8a-263b43f0f974}"),
    ("camera", "{ca3e7ab9-b4c3-4ae6-8251-579ef933890f}"),
    ("cdrom", "{4d36e965-e325-11ce-bfc1-08002be10318}"),
    ("diskdrive", "{4d36e967-e325-11ce-bfc1-08002be10318}"),
    ("display", "{4d36e968-e325-11ce-bfc1-08002be10318}"),
    ("extension", "{e2f84ce7-8efa-411c-aa69-97454ca4cb57}"),
    ("fdc", "{4d36e969-e325-11ce-bfc1-08002be10318}"),
    ("firmware", "{f2e7dd72-6468-4e36-b6f1-6488f42c1b52}"),
    ("hdc", "{4d36e96a-e325-11ce-bfc1-08002be10318}"),
    ("hidclass", "{745a17a0-74d3-11d0-b6fe-00a0c90f57da}"),
    ("image", "{6bdd1fc6-810f-11d0-bec7-08002be2092f}"),
    ("keyboard", "{4d36e96b-e325-11ce-bfc1-08002be10318}"),
    ("media", "{4d36e96c-e325-11ce-bfc1-08002be10318}"),
    ("modem", "{4d36e96d-e325-11ce-bfc1-08002be10318}"),
    ("monitor", "{4d36e96e-e325-11ce-bfc1-08002be10318}"),
    ("mouse", "{4d36e96f-e325-11ce-bfc1-08002be10318}"),
    ("mtd", "{4d36e970-e325-11ce-bfc1-08002be10318}"),
    ("multifunction", "{4d36e971-e325-11ce-bfc1-08002be10318}"),
    ("multiportserial", "{50906cb8-ba12-11d1-bf5d-0000f805f530}"),
    ("net", "{4d36e972-e325-11ce-bfc1-08002be10318}"),
    ("netclient", "{4d36e973-e325-11ce-bfc1-08002be10318}"),
    ("netservice", "{4d36e974-e325-11ce-bfc1-08002be10318}"),
    ("nettrans", "{4d36e975-e325-11ce-bfc1-08002be10318}"),
    ("pcmcia", "{4d36e977-e325-11ce-bfc1-08002be10318}"),
    ("ports", "{4d36e978-e325-11ce-bfc1-08002be10318}"),
    ("printer", "{4d36e979-e325-11ce-bfc1-08002be10318}"),
    ("processor", "{50127dc3-0f36-415e-a6cc-4cb3be910b65}"),
    ("scsiadapter", "{4d36e97b-e325-11ce-bfc1-08002be10318}"),
    ("sensor", "{5175d334-c371-4806-b3ba-71fd53c9258d}"),
    ("smartcardreader", "{50dd5230-ba8a-11d1-bf5d-0000f805f530}"),
    ("softwarecomponent", "{5c4c3332-344d-483c-8739-259e934c9cc8}"),
    ("system", "{4d36e97d-e325-11ce-bfc1-08002be10318}"),
    ("tapedrive", "{6d807884-7d21-11cf-801c-08002be10318}"),
    ("usb", "{36fc9e60-c465-11cf-8056-444553540000}"),
    ("usbdevice", "{88bae032-5a81-49f0-bc3d-a4ff138216d6}"),
    ("volume", "{71a27cdd-812a-11d0-bec7-08002be2092f}"),
    ("wpd", "{eec5ad98-8080-425f-922a-dabf3de3f69a}"),
];

/// Services of Windows' own that drivers of this field meet, and so must not replace.
pub(super) const SERVICES: &[&str] = &[
    "acpi", "atapi", "audiosrv", "beep", "cdrom", "disk", "drmkaud", "hdaudbus", "hidclass", "hidusb", "i8042prt",
    "kbdclass", "kmixer", "ks", "ksthunk", "mouclass", "mskssrv", "ndis", "null", "partmgr", "pci", "pciide",
    "portcls", "serial", "storahci", "swenum", "swmidi", "tcpip", "usbaudio", "usbhub", "usbccgp", "volmgr", "wdmaud",
];

/// INFs of Windows' own begin with one of these (page "INF Include and Needs": files that come with Windows).
pub(super) fn is_system_inf(name: &str) -> bool {
    const KNOWN: &[&str] = &[
        "audioendpoint.inf",
        "c_media.inf",
        "disk.inf",
        "hal.inf",
        "hdaudbus.inf",
        "hdaudio.inf",
        "hidbth.inf",
        "hidi2c.inf",
        "hidserv.inf",
        "input.inf",
        "keyboard.inf",
        "ks.inf",
        "kscaptur.inf",
        "ksfilter.inf",
        "layout.inf",
        "machine.inf",
        "mdmcpq.inf",
        "mdmgl001.inf",
        "mf.inf",
        "monitor.inf",
        "msmouse.inf",
        "mshdc.inf",
        "mshidkmdf.inf",
        "msports.inf",
        "netrtwle.inf",
        "nettcpip.inf",
        "pci.inf",
        "sti.inf",
        "swenum.inf",
        "usb.inf",
        "usbport.inf",
        "usbser.inf",
        "usbstor.inf",
        "usbvideo.inf",
        "wdma_usb.inf",
        "wdmaudio.inf",
        "wdmaudiocoresystem.inf",
        "wdmvsc.inf",
        "winusb.inf",
        "wpdmtp.inf",
        "wudfrd.inf",
    ];
    KNOWN.contains(&name)
}

/// Returns whether a section, in lower case, is known by its name and needs nothing that names it.
pub(super) fn is_standard_section(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "version",
        "manufacturer",
        "controlflags",
        "destinationdirs",
        "interfaceinstall32",
        "classinstall32",
        "defaultinstall",
        "defaultuninstall",
        "devices",
        "optional components",
    ];
    const PREFIXES: &[&str] = &[
        "strings",
        "signatureattributes",
        "sourcedisksnames",
        "sourcedisksfiles",
        "classinstall32.",
        "defaultinstall.",
        "defaultuninstall.",
        "manufacturer.",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
