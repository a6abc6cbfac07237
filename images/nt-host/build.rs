//! Hands the linker script to the linker when the guest itself is built, and not when its library is tested.

fn main() {
    println!("cargo::rerun-if-changed=link.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR for build scripts");
        println!("cargo::rustc-link-arg-bins=-T{folder}/link.ld");
        // The image runs at one address: no relocations to apply at boot.
        println!("cargo::rustc-link-arg-bins=--no-pie");
        println!("cargo::rustc-link-arg-bins=-zmax-page-size=4096");
    }
}
