//! Tells the linker what kind of program it is, and for which Windows.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_WINDOWS").is_none() {
        return;
    }
    let is_x86 = std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86");
    // The oldest Windows that the program is for: XP, and XP's 64-bit edition. A loader refuses a program for a later one.
    let oldest = if is_x86 { "5.01" } else { "5.02" };
    println!("cargo:rustc-link-arg-bins=/SUBSYSTEM:CONSOLE,{oldest}");
    println!("cargo:rustc-link-arg-bins=/OSVERSION:{oldest}");
    if is_x86 {
        // There is not one exception handler in it.
        println!("cargo:rustc-link-arg-bins=/noseh");
    }
    for argument in
        ["/ENTRY:start", "/NODEFAULTLIB", "/NXCOMPAT", "/DYNAMICBASE", "/MANIFEST:NO", "/OPT:REF", "/OPT:ICF"]
    {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
