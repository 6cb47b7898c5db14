//! The web UI is embedded from `dashboards/web/dist`. Where it has not been built (a plain
//! `cargo check`), a page that says so takes its place; `make` builds the real one first.

use std::{fs, path::Path};

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=dashboards/web/dist");
    let dist = Path::new("dashboards/web/dist");
    if !dist.join("index.html").exists() {
        fs::create_dir_all(dist)?;
        fs::write(
            dist.join("index.html"),
            "<!doctype html><meta charset=utf-8><title>Guanlan</title>\
             <p>The web UI is not part of this build. Run <code>make build</code>.</p>\n",
        )?;
    }
    Ok(())
}
