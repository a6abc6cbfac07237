//! Writes `src/builtin/gm.dls`, the built-in collection, after a change to the code that makes it.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/builtin/gm.dls");
    let file = dls_synth::builtin::generate();
    std::fs::write(&path, &file)?;
    println!("{}: {} bytes", path.display(), file.len());
    Ok(())
}
