//! `driver-audit`: prints the static checks of a driver image.
//!
//!     driver-audit dmuscard.sys        with dmuscard.pdb beside it

use std::path::PathBuf;
use std::process::ExitCode;

use driver_audit::{Audit, audit};

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: driver-audit IMAGE.sys (with its .pdb beside it)");
        return ExitCode::from(2);
    };
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let audited = read(&path).and_then(|image| {
        let pdb = read(&path.with_extension("pdb"))?;
        audit(&image, &pdb).map_err(|error| format!("{}: {error}", path.display()))
    });
    match audited {
        Ok(audit) => {
            print(&audit);
            ExitCode::from(u8::from(!audit.panics.is_empty() || !audit.stack.circles.is_empty()))
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn print(audit: &Audit) {
    let image = &audit.image;
    println!("machine       {:?}", image.machine);
    println!("file          {} bytes", image.file_bytes);
    println!("in memory     {} bytes", image.memory_bytes);
    for (name, bytes) in &image.sections {
        println!("  {name:<10}  {bytes}");
    }
    for (module, names) in &image.imports {
        println!("imports       {module}: {}", names.iter().cloned().collect::<Vec<_>>().join(" "));
    }
    println!("subsystem     {}", image.subsystem);
    println!("checksum      {}", if image.checksum_is_right { "right" } else { "wrong" });
    println!("relocatable   {}", image.relocatable);
    println!("functions     {}", audit.functions);
    println!("panics        {}", audit.panics.len());
    for panic in &audit.panics {
        println!("  {} from", panic.function);
        for caller in &panic.callers {
            println!("    {caller}");
        }
    }
    println!("stack         {} bytes at most", audit.stack.deepest());
    for root in &audit.stack.roots {
        println!("  {:>6}  {}", root.bytes, root.function);
    }
    if let Some(root) = audit.stack.roots.first() {
        println!("deepest       {}", root.function);
        for frame in &root.path {
            println!("  {:>6}  {}", frame.bytes, frame.function);
        }
    }
    println!("largest frames");
    for frame in &audit.stack.frames {
        println!("  {:>6}  {}", frame.bytes, frame.function);
    }
    for circle in &audit.stack.circles {
        println!("circle        {}", circle.join(" <-> "));
    }
    println!("calls through pointers, formatting aside");
    for function in &audit.stack.through_pointers {
        println!("  {function}");
    }
}
