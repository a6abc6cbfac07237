//! Writes the built-in songs to `harness/songs`, from the code that composes them.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("songs");
    for song in &dmus::sound::songs::ALL {
        std::fs::write(folder.join(song.name).with_extension("mid"), (song.compose)())?;
    }
    Ok(())
}
