//! Tells the linker that the image is a driver.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_WINDOWS").is_none() {
        return;
    }
    let is_x86 = std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86");
    // The oldest Windows that the image is for: XP of 32 bits, Windows 7 of 64 bits. A loader refuses an image for a later one.
    let oldest = if is_x86 { "5.01" } else { "6.01" };
    println!("cargo:rustc-link-arg-bins=/SUBSYSTEM:NATIVE,{oldest}");
    println!("cargo:rustc-link-arg-bins=/OSVERSION:{oldest}");
    if is_x86 {
        // There is not one exception handler in it.
        println!("cargo:rustc-link-arg-bins=/noseh");
        // Where no constant of the code can be taken for an address of the image: a program's base is 4 MiB.
        println!("cargo:rustc-link-arg-bins=/BASE:0x10000000");
    }
    for argument in [
        "/DRIVER",
        "/ENTRY:DriverEntry",
        "/NODEFAULTLIB",
        // Writes the checksum that the kernel's loader wants.
        "/RELEASE",
        "/NXCOMPAT",
        "/DYNAMICBASE",
        // What linkers set for programs that run in sessions of their own.
        "/TSAWARE:NO",
        "/MANIFEST:NO",
        "/OPT:REF",
        "/OPT:ICF",
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
