//! The house keeps its shape: store ← access ← warehouse ← {ingest, dashboards, rules} ← guanlan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Longer files are reported, never refused: a plain list may be long.
const LONG_FILE: usize = 400;

/// Room → rooms it may import: all to its left. `demo` is the world outside and knows none.
const ROOMS: [(&str, &[&str]); 8] = [
    ("store", &[]),
    ("access", &["store"]),
    ("warehouse", &["store", "access"]),
    ("ingest", &["store", "access", "warehouse"]),
    ("dashboards", &["store", "access", "warehouse"]),
    ("rules", &["store", "access", "warehouse"]),
    ("demo", &[]),
    ("guanlan", &["store", "access", "warehouse", "ingest", "dashboards", "rules", "demo"]),
];

/// The neighbour that makes a room what it is; without the edge the line would be broken.
const LINE: [(&str, &str); 12] = [
    ("access", "store"),
    ("warehouse", "access"),
    ("ingest", "warehouse"),
    ("dashboards", "warehouse"),
    ("rules", "warehouse"),
    ("guanlan", "store"),
    ("guanlan", "access"),
    ("guanlan", "warehouse"),
    ("guanlan", "ingest"),
    ("guanlan", "dashboards"),
    ("guanlan", "rules"),
    ("guanlan", "demo"),
];

/// Only holds dependencies together, so that one room can be built with the features of all.
const NO_ROOM: &str = "deps";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Room → rooms that its Cargo.toml names, in whatever section.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs this test, so it can be called");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<&str> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let edges_of = |package: &serde_json::Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter_map(|d| d["name"].as_str()).filter(|d| names.contains(d)).map(str::to_owned).collect()
    };
    packages
        .iter()
        .filter(|p| p["name"] != NO_ROOM)
        .map(|p| (p["name"].as_str().unwrap().to_owned(), edges_of(p)))
        .collect()
}

#[test]
fn rooms_import_only_what_stands_to_their_left() {
    let edges = edges();
    let known: BTreeSet<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    let found: BTreeSet<&str> = edges.keys().map(String::as_str).collect();
    assert_eq!(found, known, "a room was added or removed: say here what it may import");
    for (room, allowed) in ROOMS {
        let strangers: Vec<&String> = edges[room].iter().filter(|d| !allowed.contains(&d.as_str())).collect();
        assert!(strangers.is_empty(), "{room} imports {strangers:?}, but may import only {allowed:?}");
    }
}

#[test]
fn the_line_from_store_to_binary_is_closed() {
    let edges = edges();
    for (room, neighbour) in LINE {
        assert!(edges[room].contains(neighbour), "{room} must import {neighbour}");
    }
}

#[test]
fn long_files_are_reported() {
    let mut files = Vec::new();
    let rooms = ROOMS.iter().map(|(room, _)| root().join(if *room == "guanlan" { "." } else { room }));
    for room in rooms {
        sources(&room.join("src"), &mut files);
        sources(&room.join("tests"), &mut files);
    }
    assert!(files.len() > ROOMS.len(), "the rooms have no sources in {}", root().display());
    files.sort_by_key(|(lines, _)| std::cmp::Reverse(*lines));
    for (lines, file) in files.iter().take_while(|(lines, _)| *lines > LONG_FILE) {
        eprintln!("{lines:>5} lines: {}", file.strip_prefix(root()).unwrap_or(file).display());
    }
}

fn sources(dir: &Path, files: &mut Vec<(usize, PathBuf)>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            files.push((text.lines().count(), path));
        }
    }
}
