//! Metric questions and dashboards through the door of a running server, as the least role that may ask.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{Folder, Guanlan, Session};

fn project(folder: &Folder) {
    folder.write("guanlan.yaml", "site: { name: Test, timezone: Asia/Shanghai, locale: en }\n");
    folder.write(
        "sources/s.yaml",
        "title: S\nkind: { files: { path: drops } }\nstreams:\n  ev: { glob: 'ev*.csv', format: { csv: {} }, clean: ev }\n",
    );
    folder.write(
        "cleans/ev.yaml",
        "title: E\nfrom: raw.s_ev\nskip: [{ column: id, values: [合计] }]\ncolumns:\n  id: { type: int }\n  at: { type: timestamp }\n  branch: { titles: { north: { zh: 北, en: North } } }\n  v: { type: float }\n",
    );
    // The summary row below the table is no data.
    folder.write(
        "drops/ev.csv",
        "id,at,branch,v\n1,2026-01-05 10:00:00,,1\n2,2026-02-06 10:00:00,north,2\n3,2026-02-07 10:00:00,south,4\n合计,,,7\n",
    );
    folder.write("models/ev.sql", "---\ntitle: E\n---\nselect id, at, branch, v from clean.ev\n");
    let metric = |name: &str, measure: &str| {
        let text = format!(
            "title: {name}\ntable: mart.ev\nmeasure: {measure}\ntime: at\ndimensions: {{ branch: Branch, id: Id }}\n"
        );
        folder.write(&format!("metrics/{name}.yaml"), text);
    };
    metric("sumv", "{ sum: { column: v } }");
    metric("cnt", "{ count: {} }");
    folder.write("dashboards/board.yaml", "title: Board\nroles: [executive]\nrange: 2026-01-01..2026-03-01\nrows:\n  - - kpi: { metric: sumv, id: good }\n    - kpi: { metric: gone, id: bad }\n    - bar: { metric: sumv, by: branch, id: bars }\n");
    folder.write("dashboards/worse.yaml", "title: Worse\nrange: 7x\nrows:\n  - - kpi: { metric: sumv }\n");
}

async fn signed_in(guanlan: &Guanlan<'_>, served: &crate::support::Served, role: &str) -> Session {
    // The first start of a server makes an `admin` of its own.
    let name = format!("the_{role}");
    let user = guanlan.json(&["user", "add", &name, "--role", role]);
    served.sign_in(&name, user["password"].as_str().unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_asked_and_refused_as_they_should() {
    let folder = Folder::new("numbers");
    project(&folder);
    let guanlan = Guanlan::new(folder.path());
    // A dashboard with a mistake fails the command, not the sync.
    let _ = guanlan.run(&["sync"]);
    assert_eq!(guanlan.number("select sum(v) from clean.ev"), 7.0);
    let served = guanlan.serve().await;
    let (ceo, admin) =
        (signed_in(&guanlan, &served, "executive").await, signed_in(&guanlan, &served, "admin").await);
    let ask =
        |filters: Value| json!({"metric": "sumv", "range": "2026-01-01..2026-03-01", "filters": filters});
    let value = |answer: &Value| answer["rows"][0]["value"].clone();

    // Too many filters, values or names are refused at once, and nothing ends.
    let one = json!({"dimension": "branch", "values": ["north"]});
    let started = Instant::now();
    for hostile in [
        json!(vec![one.clone(); 2_000]),
        json!([{"dimension": "branch", "values": vec!["x"; 20_000]}]),
        json!([{"dimension": "x".repeat(500_000), "values": []}]),
    ] {
        let (status, body) = ceo.try_post("/api/metrics/query", ask(hostile)).await;
        assert_eq!(status, 400, "{body}");
    }
    let (status, body) =
        ceo.try_post("/api/dashboards/board/data", json!({"filters": {"branch": vec!["x"; 20_000]}})).await;
    assert_eq!(status, 400, "{body}");
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    let list: Vec<Value> = (0..1_999).map(|n| json!(format!("v{n}"))).chain([json!("north")]).collect();
    let answer = ceo.post("/api/metrics/query", ask(json!([{"dimension": "branch", "values": list}]))).await;
    assert_eq!(value(&answer), 2.0);

    // "No value" is a value; typed values are read or refused.
    for (filter, expected) in [
        (json!([{"dimension": "branch", "values": [null]}]), 1.0),
        (json!([{"dimension": "branch", "values": [null, "north"]}]), 3.0),
        (json!([{"dimension": "branch", "values": [null], "exclude": true}]), 6.0),
        (json!([{"dimension": "id", "values": ["3.0"]}]), 4.0),
    ] {
        assert_eq!(value(&ceo.post("/api/metrics/query", ask(filter.clone())).await), expected, "{filter}");
    }
    let (status, body) =
        ceo.try_post("/api/metrics/query", ask(json!([{"dimension": "id", "values": ["1.50"]}]))).await;
    assert!(status == 400 && body["detail"].as_str().unwrap().contains("whole numbers"), "{status} {body}");
    let values = ceo.get("/api/dimensions/branch/values?metric=sumv").await;
    assert_eq!(values["titles"]["north"]["zh"], "北", "{values}");
    assert!(values["values"].as_array().unwrap().contains(&Value::Null), "{values}");

    // Months outside of the data are not known.
    let months =
        json!({"metric": "cnt", "range": "2025-11-01..2026-05-01", "grain": "month", "compare": "last_year"});
    let answer = ceo.post("/api/metrics/query", months).await;
    let seen: Vec<Value> =
        answer["rows"].as_array().unwrap().iter().map(|row| row["value"].clone()).collect();
    assert_eq!(json!(seen), json!([null, null, 1.0, 2.0, null, null]));
    assert_eq!(answer["incomplete"], true);

    // One decision who may open a page; its good tiles stand beside the bad one, which says what is wrong.
    for who in [&ceo, &admin] {
        let page = who.get("/api/dashboards/board").await;
        assert_eq!(page["served"], "good_tiles", "{page}");
        let data = who.post("/api/dashboards/board/data", json!({})).await;
        assert_eq!(data["tiles"]["good"]["kpi"]["value"], 7.0, "{data}");
        assert_eq!(data["tiles"]["bars"]["bar"]["bars"][1]["title"]["en"], "North", "{data}");
        let bad = &data["tiles"]["bad"];
        assert_eq!((bad["ok"].clone(), bad["code"].clone()), (json!(false), json!("definition")));
        assert!(bad["detail"].as_str().unwrap().contains("dashboards/board.yaml:6:"), "{bad}");
    }
    for who in [&ceo, &admin] {
        let (status, body) = who.try_get("/api/dashboards/worse").await;
        assert_eq!(status, 404, "{body}");
        assert!(body["detail"].as_str().unwrap().contains("dashboards/worse.yaml:2:"), "{body}");
    }

    // What stands on a table.
    let table = admin.get("/api/tables/mart.ev").await;
    let uses: Vec<String> = table["used_by"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {}", one["kind"].as_str().unwrap(), one["name"].as_str().unwrap()))
        .collect();
    assert_eq!(uses, ["metric cnt", "metric sumv", "dashboard board"]);
    assert!(served.stop());
}
