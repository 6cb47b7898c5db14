//! What was read is kept, set aside or refused, and said; what was read wrongly is read again: through the command
//! line and HTTP.

use std::time::Duration;

use serde_json::json;

use crate::support::{Folder, Guanlan, wait_for};

fn project(name: &str, streams: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("guanlan.yaml", "site: { name: Test, timezone: Asia/Shanghai, locale: en }\n");
    folder.write(
        "sources/x.yaml",
        format!("title: X\nkind: {{ files: {{ path: drops }} }}\nstreams:\n{streams}"),
    );
    folder
}

const ORDERS: &str =
    "title: C\nfrom: raw.x_o\nkey: [id]\ncolumns:\n  id: { type: int }\n  amount: { type: decimal }\n";
const TOTAL: &str =
    "---\ntitle: T\nrefresh: { full: {} }\n---\nselect count(*) as n, sum(amount) as total from clean.o\n";

#[test]
fn states_and_exit_codes_tell_what_was_set_aside() {
    let stream = "  o: { glob: '*.csv', format: { csv: { delimiter: ',' } } }\n";
    let folder = project("codes", stream);
    let guanlan = Guanlan::new(folder.path());
    folder.write("drops/a.csv", "id,v\n1,x\n2,y\n3\n4,z\n");
    let (code, all) = guanlan.fails(&["sync"]);
    assert_eq!(code, 3, "{all}");
    assert!(all.contains("landed, 1 of 4 set aside") && all.contains("a.csv row 4"), "{all}");
    let report = guanlan.json(&["sync"]);
    let stream_of = |report: &serde_json::Value| report["streams"][0].clone();
    assert_eq!(stream_of(&report)["state"], "up to date");
    // Within what the stream accepts it is done, and still said.
    let accepting = stream.replace("} }\n", "}, accept: { set_aside: 25% } }\n");
    folder.write(
        "sources/x.yaml",
        format!("title: X\nkind: {{ files: {{ path: drops }} }}\nstreams:\n{accepting}"),
    );
    folder.write("drops/b.csv", "id,v\n1,x\n2,y\n3\n4,z\n");
    let report = stream_of(&guanlan.json(&["sync"]));
    assert_eq!(report["state"], "landed, 1 of 4 set aside");
    assert_eq!(
        json!([report["read"], report["rows"], report["rejected_rows"], report["refused"]]),
        json!([4, 3, 1, 0])
    );
    // One source fails, the other lands: a failure.
    folder.write(
        "sources/y.yaml",
        "title: Gone\nkind: { sqlite: { path: gone.db } }\nstreams:\n  t: { table: t }\n",
    );
    folder.write("drops/d.csv", "id,v\n9,x\n");
    let (code, all) = guanlan.fails(&["sync"]);
    assert_eq!(code, 1, "{all}");
    assert!(all.contains("gone.db") && all.contains("failed"), "{all}");
    assert_eq!(guanlan.number("select count(*) from raw.x_o where id = '9'"), 1.0);
    let wrong = stream.replace("} }\n", "}, accept: { set_aside: 25 } }\n");
    folder.write(
        "sources/x.yaml",
        format!("title: X\nkind: {{ files: {{ path: drops }} }}\nstreams:\n{wrong}"),
    );
    let (code, all) = guanlan.fails(&["check"]);
    assert!(code == 2 && all.contains("sources/x.yaml:4") && all.contains("1%"), "{all}");
}

#[test]
fn a_corrected_definition_is_told_by_plan_and_read_again() {
    let folder = project("corrected", "  b: { glob: 'big5.csv', format: { csv: { encoding: gb18030 } } }\n");
    let guanlan = Guanlan::new(folder.path());
    let (text, _, _) = encoding_rs::BIG5.encode("編號,部門\n1,財務部\n");
    folder.write("drops/big5.csv", &text);
    guanlan.ok(&["sync"]);
    folder.write(
        "sources/x.yaml",
        "title: Renamed\nkind: { files: { path: drops } }\nstreams:\n  b: { glob: 'big5.csv', format: { csv: { encoding: big5 } } }\n",
    );
    let plan = guanlan.ok(&["plan"]);
    assert!(plan.contains("reads x.b again: `encoding` changed"), "{plan}");
    let preview = guanlan.ok(&["source", "preview", "x.b"]);
    assert!(preview.contains("財務部") && preview.contains("big5.csv"), "{preview}");
    guanlan.ok(&["sync"]);
    assert_eq!(json!(guanlan.sql("select \"部門\" from raw.x_b")), json!([["財務部"]]));
    assert!(!guanlan.ok(&["plan"]).contains("again"));
    let report = guanlan.json(&["sync", "--reset", "x.b"]);
    assert_eq!(report["streams"][0]["read"], 1, "{report}");
    let (code, all) = guanlan.fails(&["sync", "--reset", "x.bb"]);
    assert!(code == 2 && all.contains("did you mean x.b?"), "{all}");
    assert!(guanlan.ok(&["source", "test", "x"]).contains("big5.csv"));
    let audit =
        guanlan.sql("select count(*) from system.audit where action = 'source.reset' and object = 'x.b'");
    assert_eq!(json!(audit), json!([[1]]));
}

#[test]
fn what_only_rejects_would_empty_stays_through_the_whole_line() {
    let folder = project("emptied", "  o: { glob: '*.csv', format: { csv: {} }, clean: o }\n");
    folder.write("cleans/o.yaml", ORDERS);
    folder.write("models/t.sql", TOTAL);
    folder.write("drops/a.csv", "id,amount\n1,10\n2,20\n");
    let guanlan = Guanlan::new(folder.path());
    guanlan.ok(&["sync"]);
    folder.write("drops/a.csv", "id,amount\nx1,zehn\nx2,zwanzig\n");
    for _ in 0..2 {
        let (code, all) = guanlan.fails(&["sync"]);
        assert_eq!(code, 1, "{all}");
        assert!(all.contains("clean.o keeps its last good version of 2 rows"), "{all}");
        assert_eq!(json!(guanlan.sql("select n, total from mart.t")), json!([[2, "30.00"]]));
    }
}

#[test]
fn one_quarantine_for_both_zones() {
    let folder =
        project("quarantine", "  o: { glob: '*.csv', format: { csv: { delimiter: ',' } }, clean: o }\n");
    folder.write("cleans/o.yaml", ORDERS);
    folder.write("drops/a.csv", "id,amount\n1,10\n2,zwanzig\n3,30,40\n");
    let guanlan = Guanlan::new(folder.path());
    let (code, _) = guanlan.fails(&["sync"]);
    assert_eq!(code, 3);
    let list = guanlan.json(&["quarantine", "list"]);
    let row = |n: usize| json!([list[n]["table"], list[n]["column"], list[n]["rows"], list[n]["first"]]);
    assert_eq!(row(0), json!(["raw.x_o", "", 1, "a.csv row 4"]), "{list}");
    assert_eq!(row(1), json!(["clean.o", "amount", 1, "a.csv row 3: zwanzig"]), "{list}");
    assert!(guanlan.ok(&["quarantine", "show", "raw.x_o"]).contains("3,30,40"));
    // Nothing was mended: a retry says so, with the code of rows set aside.
    let (code, all) = guanlan.fails(&["quarantine", "retry", "raw.x_o"]);
    assert!(code == 3 && all.contains("a.csv is read again"), "{all}");
    assert_eq!(guanlan.number("select count(*) from raw.x_o"), 2.0, "in place of itself");
    // The cleaning is mended, then the row is corrected in a later file.
    folder.write(
        "cleans/o.yaml",
        ORDERS.replace(
            "type: decimal }",
            "type: decimal, map: { values: { zwanzig: '20' }, otherwise: keep } }",
        ),
    );
    let all = guanlan.ok(&["quarantine", "release", "clean.o"]);
    assert!(all.contains("2 kept, 0 still quarantined"), "{all}");
    assert_eq!(guanlan.number("select amount from clean.o where id = 2"), 20.0);
    folder.write("drops/b.csv", "id,amount\n4,vier\n");
    guanlan.fails(&["sync"]);
    folder.write("drops/c.csv", "id,amount\n4,40\n");
    let all = guanlan.ok(&["sync"]);
    assert!(all.contains("corrected by a later row"), "{all}");
    assert_eq!(guanlan.json(&["quarantine", "list"]).as_array().map(Vec::len), Some(1));
    assert!(guanlan.ok(&["quarantine", "discard", "raw.x_o"]).contains("1 row was discarded"));
    assert_eq!(guanlan.json(&["quarantine", "list"]), json!([]));
    guanlan.ok(&["sync"]);
    assert_eq!(guanlan.json(&["quarantine", "list"]), json!([]));
    let audit = guanlan
        .sql("select action, object, detail from system.audit where action like 'quarantine.%' order by seq");
    assert_eq!(
        json!(audit),
        json!([
            ["quarantine.retry", "raw.x_o", ""],
            ["quarantine.retry", "clean.o", ""],
            ["quarantine.discard", "raw.x_o", "1 rows"]
        ])
    );
    let (code, all) = guanlan.fails(&["quarantine", "discard", "clean.oo"]);
    assert!(code == 2 && all.contains("did you mean clean.o?"), "{all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_does_over_what_the_command_line_does_and_for_who_may() {
    let folder = project("redo", "  o: { glob: '*.csv', format: { csv: { delimiter: ',' } }, clean: o }\n");
    folder.write("cleans/o.yaml", ORDERS);
    folder.write("drops/a.csv", "id,amount\n1,10\n2,zwanzig\n3,30,40\n");
    let guanlan = Guanlan::new(folder.path());
    guanlan.fails(&["sync"]);
    let user = |name: &str, role: &str| {
        let added = guanlan.json(&["user", "add", name, "--role", role]);
        added["password"].as_str().expect("a password").to_owned()
    };
    let (root, boss) = (user("root", "admin"), user("boss", "executive"));
    let server = guanlan.serve().await;
    let (admin, executive) = (server.sign_in("root", &root).await, server.sign_in("boss", &boss).await);
    for path in [
        "/api/sources/x/test",
        "/api/sources/x/o/preview",
        "/api/sources/x/o/reset",
        "/api/quarantine/raw.x_o/retry",
        "/api/quarantine/clean.o/release",
        "/api/quarantine/clean.o/discard",
    ] {
        assert_eq!(executive.try_post(path, json!({})).await.0, 403, "{path}");
    }
    let tested = admin.post("/api/sources/x/test", json!({})).await;
    assert_eq!(tested["offers"][0]["name"], "a.csv", "{tested}");
    let preview = admin.post("/api/sources/x/o/preview", json!({})).await;
    assert_eq!(
        json!([preview["read"], preview["rejected_rows"], preview["rows"][0]]),
        json!([3, 1, ["1", "10"]])
    );
    let runs = admin.get("/api/sources/x/runs").await;
    let run = &runs[0];
    assert_eq!(run["state"], "landed, 1 of 3 set aside", "{runs}");
    assert_eq!(json!([run["read"], run["rows"], run["rejected"], run["refused"]]), json!([3, 2, 1, 0]));
    assert_eq!(run["set_aside"][0]["first"], "a.csv row 4", "{runs}");
    let sources = admin.get("/api/sources").await;
    assert_eq!(sources[0]["state"], "set_aside", "{sources}");
    let list = admin.get("/api/quarantine").await;
    assert_eq!(json!([list[0]["table"], list[1]["table"]]), json!(["raw.x_o", "clean.o"]), "{list}");
    let (status, asked) = admin.try_post("/api/quarantine/raw.x_o/retry", json!({})).await;
    assert_eq!((status, &asked["files"]), (202, &json!(["a.csv"])), "{asked}");
    let cleaned = admin.post("/api/quarantine/o/release", json!({})).await;
    assert_eq!(json!([cleaned["read"], cleaned["rejected"]]), json!([2, 1]), "{cleaned}");
    assert_eq!(admin.post("/api/quarantine/clean.o/discard", json!({})).await["discarded"], 1);
    assert_eq!(admin.try_post("/api/quarantine/clean.nothing/discard", json!({})).await.0, 404);
    assert_eq!(admin.try_post("/api/sources/x/nothing/reset", json!({})).await.0, 404);
    folder.write("drops/a.csv", "id,amount\n1,10\n2,20\n3,30\n");
    assert_eq!(admin.try_post("/api/sources/x/o/reset", json!({})).await.0, 202);
    let admin = &admin;
    wait_for("the stream being read again", Duration::from_secs(30), || async move {
        let runs = admin.get("/api/sources/x/runs").await;
        runs[0]["state"] == "landed" && runs[0]["rows"] == 3
    })
    .await;
    wait_for("an empty quarantine", Duration::from_secs(30), || async move {
        admin.get("/api/quarantine").await == json!([])
    })
    .await;
    assert!(server.stop(), "SIGTERM ends it well");
}

#[tokio::test]
async fn a_model_is_computed_in_full_again_and_plan_says_what_that_costs() {
    let folder = project("full", "  o: { glob: '*.csv', format: { csv: { delimiter: ',' } }, clean: o }\n");
    folder.write("cleans/o.yaml", ORDERS);
    folder.write("models/total.sql", TOTAL);
    folder.write("drops/a.csv", "id,amount\n1,10\n2,20\n");
    let guanlan = Guanlan::new(folder.path());
    guanlan.ok(&["sync"]);
    assert_eq!(guanlan.number("select total from mart.total"), 30.0);
    let said = guanlan.ok(&["build", "--full", "total"]);
    assert!(said.contains("mart.total: computed in full, 1 row"), "{said}");
    let (code, said) = guanlan.fails(&["build", "--full", "totals"]);
    assert!(code == 2 && said.contains("did you mean total?"), "{code}: {said}");
    folder.write("models/total.sql", TOTAL.replace("sum(amount)", "max(amount)"));
    let plan = guanlan.run(&["plan"]);
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(plan.contains("total"), "{plan}");
    let user = |name: &str, role: &str| {
        let added = guanlan.json(&["user", "add", name, "--role", role]);
        added["password"].as_str().expect("a password").to_owned()
    };
    let (root, boss) = (user("root", "admin"), user("boss", "executive"));
    let server = guanlan.serve().await;
    let (admin, executive) = (server.sign_in("root", &root).await, server.sign_in("boss", &boss).await);
    assert_eq!(executive.try_post("/api/models/total/build", json!({"full": true})).await.0, 403);
    let built = admin.post("/api/models/total/build", json!({"full": true})).await;
    assert_eq!((&built["full"], &built["published"]), (&json!(true), &json!(true)), "{built}");
    let models = admin.get("/api/models").await;
    assert_eq!(models[0]["model"], "total", "{models}");
    assert_eq!(admin.try_post("/api/models/totals/build", json!({"full": true})).await.0, 404);
}
