//! Whatever goes wrong, the message says what, where and what to do; the exit code is right; what
//! landed stays; one broken source never stops the others.

use std::fs;

use crate::support::{Folder, Guanlan, free_port};

/// A valid small project with one CSV source that works.
fn project(folder: &Folder) {
    folder.write("guanlan.yaml", "site: { name: Test, timezone: Asia/Shanghai, locale: en }\n");
    folder.write(
        "sources/good.yaml",
        "title: Good\nkind: { files: { path: drops } }\nstreams:\n  rows: { glob: 'good*.csv', format: { csv: {} } }\n",
    );
    folder.write("drops/good.csv", "id,amount\n1,10\n2,20\n");
}

/// Writes one file into the project and expects `check` to name it.
fn check_names(file: &str, text: &str, expected: &[&str]) {
    let folder = Folder::new("bad");
    project(&folder);
    folder.write(file, text);
    let (code, all) = Guanlan::new(folder.path()).fails(&["check"]);
    assert_eq!(code, 2, "a wrong project ends with 2:\n{all}");
    for part in expected {
        assert!(all.contains(part), "{part:?} is missing in:\n{all}");
    }
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_right_one() {
    check_names(
        "metrics/m.yaml",
        "title: M\ntable: raw.good_rows\nmesure: { count: {} }\ntime: at\nunit: count\ndirection: up\n",
        &["metrics/m.yaml:3:1", "mesure", "measure"],
    );
}

#[test]
fn bad_sql_is_named_inside_its_file() {
    check_names(
        "models/m.sql",
        "---\ntitle: M\nrefresh: { full: {} }\n---\nselect id\nfrom\nwhere\n",
        &["models/m.sql:7"],
    );
}

#[test]
fn a_missing_table_is_named_with_a_near_one() {
    check_names(
        "models/m.sql",
        "---\ntitle: M\nrefresh: { full: {} }\n---\nselect id from raw.good_row\n",
        &["models/m.sql:5", "raw.good_row", "raw.good_rows"],
    );
}

#[test]
fn cyclic_models_are_named_as_a_cycle() {
    let folder = Folder::new("cycle");
    project(&folder);
    folder.write("models/a.sql", "---\ntitle: A\nrefresh: { full: {} }\n---\nselect id from mart.b\n");
    folder.write("models/b.sql", "---\ntitle: B\nrefresh: { full: {} }\n---\nselect id from mart.a\n");
    let (code, all) = Guanlan::new(folder.path()).fails(&["check"]);
    assert_eq!(code, 2);
    assert!(all.contains("models/a.sql") && all.contains("mart.b") && all.contains("circle"), "{all}");
}

#[test]
fn broken_sources_say_what_to_do_and_the_good_one_lands() {
    let folder = Folder::new("sources");
    project(&folder);
    let port = free_port();
    folder.write(
        "sources/gone.yaml",
        "title: Gone\nkind: { postgres: { url: 'env:GONE_URL' } }\nstreams:\n  t: { table: t, mode: { full: {} } }\n",
    );
    folder.write(
        "sources/mess.yaml",
        "title: Mess\nkind: { files: { path: drops } }\nstreams:\n  \
           book: { glob: 'book.xlsx', format: { xlsx: {} } }\n  \
           wrong: { glob: 'wrong.csv', format: { csv: { encoding: utf-8 } } }\n  \
           ragged: { glob: 'ragged.csv', format: { csv: {} } }\n",
    );
    folder.write("drops/book.xlsx", b"PK\x03\x04 this workbook was cut off");
    let (gb, _, _) = encoding_rs::GB18030.encode("编号,部门\n1,财务部\n");
    folder.write("drops/wrong.csv", &gb);
    folder.write("drops/ragged.csv", "id,name\n1,a\n2,b,extra\n3,c\n");
    let url = format!("postgres://me:secret-word@127.0.0.1:{port}/db");
    let guanlan = Guanlan::new(folder.path()).env("GONE_URL", &url);
    let (code, all) = guanlan.fails(&["sync"]);
    assert_eq!(code, 1, "{all}");
    assert!(!all.contains("secret-word"), "no secret in a message:\n{all}");
    for part in ["gone", "book.xlsx", "wrong.csv", "127.0.0.1"] {
        assert!(all.contains(part), "{part:?} is missing in:\n{all}");
    }
    assert_eq!(guanlan.number("select count(*) from raw.good_rows"), 2.0);
    assert_eq!(guanlan.number("select count(*) from raw.mess_ragged"), 2.0);
    let rejected = guanlan.sql("select * from raw.mess_ragged_rejected");
    assert_eq!(rejected.len(), 1, "the ragged row is kept aside: {rejected:?}");
}

#[test]
fn a_column_that_disappears_is_warned_of_and_loses_nothing() {
    let folder = Folder::new("dropped");
    project(&folder);
    let guanlan = Guanlan::new(folder.path());
    guanlan.ok(&["sync"]);
    folder.write("drops/good_2.csv", "id\n3\n");
    let report = guanlan.json(&["sync"]);
    assert!(report.to_string().contains("amount"), "a warning names the column: {report}");
    assert_eq!(guanlan.number("select count(*) from raw.good_rows"), 3.0);
    assert_eq!(guanlan.number("select count(*) from raw.good_rows where amount is null"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_and_a_second_server_are_refused_clearly() {
    let folder = Folder::new("twice");
    project(&folder);
    let guanlan = Guanlan::new(folder.path());
    let first = guanlan.serve().await;
    let (_, all) = guanlan.fails(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(all.contains("in use by guanlan serve") && all.contains("process"), "{all}");
    let address = first.base.trim_start_matches("http://").to_owned();
    let other = Folder::new("other");
    project(&other);
    let (_, all) = Guanlan::new(other.path()).fails(&["serve", "--listen", &address]);
    assert!(all.contains("in use") && all.contains("--listen"), "{all}");
    assert!(first.stop(), "SIGTERM ends it well");
}

#[test]
fn a_read_only_disk_is_named_with_the_remedy() {
    // Root writes through permission bits, so the test uses a file where a folder must go.
    let folder = Folder::new("readonly");
    project(&folder);
    folder.write("data", "not a folder");
    let (code, all) = Guanlan::new(folder.path()).fails(&["sync"]);
    assert_eq!(code, 1);
    assert!(all.contains("data") && (all.contains("path") || all.contains("guanlan.yaml")), "{all}");
    fs::remove_file(folder.path().join("data")).unwrap();
    Guanlan::new(folder.path()).ok(&["sync"]);
}

#[test]
fn a_folder_without_a_project_says_how_to_start_one() {
    let folder = Folder::new("empty");
    let (_, all) = Guanlan::new(folder.path()).fails(&["check"]);
    assert!(all.contains("guanlan.yaml") && all.contains("guanlan init"), "{all}");
}

/// The kernel of the tables has threads of its own, which must be done before the process ends.
#[test]
fn a_check_ends_without_a_panic_however_often_it_runs() {
    let folder = Folder::new("often");
    project(&folder);
    folder.write(
        "metrics/m.yaml",
        "title: M\ntable: mart.m\nmeasure: { count: {} }\ntime: at\nunit: count\ndirection: up\n",
    );
    folder.write(
        "models/m.sql",
        "---\ntitle: M\nrefresh: { full: {} }\n---\nselect id, now() as at from raw.good_rows\n",
    );
    let guanlan = Guanlan::new(folder.path());
    guanlan.ok(&["sync"]);
    for run in 0..25 {
        let output = guanlan.run(&["check"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("panic"), "run {run}: {said}");
    }
}
