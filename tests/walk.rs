//! One story, from source to action, through the real binary. Read this first.
//!
//! A company has its approvals in PostgreSQL, its customers in MariaDB, an order drop in GB18030, and
//! an event log from an older system. Its warehouse is an S3-compatible store. Someone starts a
//! project, lands everything while the process is killed again and again, looks at a dashboard, and is
//! told by webhook when the backlog is too high, through a receiver that refuses twice and a server
//! that is killed in the middle of delivering.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Folder, Guanlan, MariaDb, Postgres, Receiver, S3, Served, Session, shared_data, wait_for,
};

const APPROVALS: i64 = 120_000;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_line_from_source_to_action() {
    let (Some(postgres), Some(mariadb), Some(s3)) =
        (Postgres::start().await, MariaDb::start().await, S3::start().await)
    else {
        return;
    };
    let receiver = Receiver::start(2).await;
    fill_postgres(&postgres).await;
    fill_mariadb(&mariadb).await;

    let folder = Folder::new("walk");
    let project = folder.path().join("mycompany");
    let guanlan = Guanlan::new(&project)
        .env("PG_URL", &postgres.url)
        .env("MYSQL_URL", &mariadb.url)
        .env("S3_KEY", "test")
        .env("S3_SECRET", "test")
        .env("HOOK_SECRET", SECRET);
    starts_a_project(&guanlan, &folder, &s3, &receiver);
    lands_everything_although_killed(&guanlan).await;
    cleans_and_counts(&guanlan);
    reads_a_foreign_event_log(&guanlan);

    let password =
        guanlan.json(&["user", "add", "lin", "--role", "executive", "--role", "ops", "--role", "analyst"]);
    let password = password["password"].as_str().expect("a password").to_owned();
    let server = guanlan.serve().await;
    let session = server.sign_in("lin", &password).await;
    sees_the_same_number_as_sql(&session, &guanlan).await;
    picks_up_edits(&session, &server, &project).await;

    backlog_grows(&postgres).await;
    let server = is_told_although_killed(&guanlan, server, &receiver, &password).await;
    let session = server.sign_in("lin", &password).await;
    sees_why(&session).await;

    backlog_shrinks(&postgres).await;
    wait_for("the all-clear", Duration::from_secs(90), || async {
        receiver.all().iter().any(|r| r.status == 200 && r.json()["type"] == "alert.resolved")
    })
    .await;
    assert!(server.stop(), "SIGTERM ends the server well");
    // A finished story repeats nothing when it is told again; a full stream is read anew, not added.
    let again = guanlan.json(&["sync"]);
    let streams = again["streams"].as_array().expect("streams");
    assert!(streams.iter().all(|s| s["rows"] == 0 || s["source"] == "crm"), "{again}");
    assert_eq!(guanlan.number("select count(*) from raw.crm_customers"), 3.0);
    let counts = guanlan.sql("select count(*), count(distinct id) from clean.approvals");
    assert_eq!(json!(counts[0]), json!([APPROVALS + 500, APPROVALS + 500]));
}

async fn fill_postgres(postgres: &Postgres) {
    postgres
        .run(&format!(
            "create table approvals (id bigint primary key, process text not null, department text, \
               amount numeric(18,2), status text not null, submitted_at timestamptz not null, \
               finished_at timestamptz, updated_at timestamptz not null);
             insert into approvals select n, (array['leave','expense','purchase'])[1 + n % 3], \
               '部门' || n % 7, n % 1000 + 0.5, 'done', now() - interval '60 days' + n * interval '30 seconds', \
               now() - interval '60 days' + n * interval '30 seconds' + interval '5 hours', \
               now() - interval '60 days' + n * interval '30 seconds' \
             from generate_series(1, {APPROVALS}) n"
        ))
        .await;
}

async fn fill_mariadb(mariadb: &MariaDb) {
    mariadb
        .run(
            "create table customers (id int primary key, name varchar(80) character set utf8mb4, \
               region varchar(20) character set utf8mb4, joined date);
             insert into customers values (1, '云海科技', '华东', '2024-03-01'), (2, '北辰物流', '华北', '2024-07-15'), \
               (3, '南粤电子', '华南', null)",
        )
        .await;
}

fn starts_a_project(guanlan: &Guanlan<'_>, folder: &Folder, s3: &S3, receiver: &Receiver) {
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_guanlan"))
        .arg("init")
        .arg(guanlan.folder)
        .output()
        .expect("the binary starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    guanlan.ok(&["check"]);

    // The starter's example makes room for the company's own.
    for room in ["sources", "cleans", "models", "metrics", "dashboards", "rules", "drops"] {
        std::fs::remove_dir_all(folder.path().join("mycompany").join(room)).expect("the starter has it");
    }
    folder.write("mycompany/guanlan.yaml", guanlan_yaml(s3, receiver));
    for (name, text) in PROJECT {
        folder.write(&format!("mycompany/{name}"), text);
    }
    // GB18030 with a Chinese header, amounts in 万, and one row that does not fit.
    let orders = "订单号,客户,金额,日期\r\nA1,1,1.25万,2026-01-05\r\nA2,2,￥３，４００.50,2026/01/06\r\nA3,3,很多,2026年1月7日\r\n";
    let (encoded, _, _) = encoding_rs::GB18030.encode(orders);
    folder.write("mycompany/drops/orders_1.csv", &encoded);
    if let Some(log) = shared_data("eventlogs/receipt.xes.gz") {
        folder.write("mycompany/drops/receipt.xes.gz", std::fs::read(log).expect("readable"));
    }
    let checked = guanlan.ok(&["check"]);
    assert!(!checked.contains("error"), "{checked}");
}

/// The process is killed at moments spread over the whole landing; afterwards every row is there once.
async fn lands_everything_although_killed(guanlan: &Guanlan<'_>) {
    for wait_ms in [150, 400, 700, 1_000, 1_400, 1_900, 2_500] {
        let mut child = guanlan
            .command(&["sync", "oa", "--raw-only"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        child.kill().expect("killed or ended");
        let _ = child.wait();
    }
    let (code, all) = guanlan.fails(&["sync"]);
    assert_eq!(code, 3, "done, and one order is in quarantine: {all}");
    let counts = guanlan.sql("select count(*), count(distinct id), min(id), max(id) from raw.oa_approvals");
    assert_eq!(json!(counts[0]), json!([APPROVALS, APPROVALS, 1, APPROVALS]));
}

fn cleans_and_counts(guanlan: &Guanlan<'_>) {
    assert_eq!(guanlan.number("select count(*) from mart.approvals"), APPROVALS as f64);
    let orders = guanlan.sql("select id, amount from clean.orders order by id");
    assert_eq!(json!(orders), json!([["A1", "12500.00"], ["A2", "3400.50"]]));
    let rejected = guanlan.sql("select * from clean.orders_rejected");
    assert_eq!(rejected.len(), 1, "the row that does not fit is in quarantine: {rejected:?}");
    assert!(json!(rejected).to_string().contains("很多"));
    assert_eq!(guanlan.number("select count(*) from raw.crm_customers"), 3.0);
}

/// Numbers of the domain notes, section 7.
fn reads_a_foreign_event_log(guanlan: &Guanlan<'_>) {
    if shared_data("eventlogs/receipt.xes.gz").is_none() {
        return;
    }
    let log = guanlan
        .sql("select count(distinct case_id), count(*), count(distinct activity) from raw.drops_permits");
    assert_eq!(json!(log[0]), json!([1_434, 8_577, 27]));
}

async fn sees_the_same_number_as_sql(session: &Session, guanlan: &Guanlan<'_>) {
    let page = session.post("/api/dashboards/company/data", json!({"range": "12M"})).await;
    let tile = &page["tiles"]["amount"];
    assert_eq!(tile["ok"], true, "{page}");
    let (from, to) =
        (page["range"]["from"].as_str().expect("from"), page["range"]["to"].as_str().expect("to"));
    let sql = format!(
        "select sum(amount) from mart.approvals where submitted_at >= timestamp '{from}' and submitted_at < timestamp '{to}'"
    );
    let expected = guanlan.number(&sql);
    let shown = tile["kpi"]["value"].as_f64().expect("a value");
    assert!((shown - expected).abs() < 0.01, "the card shows {shown}, SQL says {expected}");
    assert!(expected > 1_000_000.0, "the range covers the data");
    let csv = session.post_text("/api/sql/csv", json!({"sql": "select id from mart.approvals"})).await;
    assert_eq!(csv.lines().count() as i64, APPROVALS + 1);
    let empty = json!({"sql": "select id from mart.approvals where id < 0"});
    assert_eq!(
        session.post_text("/api/sql/csv", empty).await.trim(),
        "\u{feff}id",
        "no row is an answer, too"
    );
}

/// A valid edit is served within two seconds; of an invalid one the last good version stays.
async fn picks_up_edits(session: &Session, server: &Served, project: &std::path::Path) {
    let file = project.join("dashboards/company.yaml");
    let good = std::fs::read_to_string(&file).expect("the dashboard");
    std::fs::write(&file, good.replace("Our company", "Our fine company")).expect("writable");
    wait_for("the valid edit being served", Duration::from_secs(2), || async {
        session.get("/api/dashboards/company").await["title"]["en"] == "Our fine company"
    })
    .await;
    std::fs::write(&file, good.replace("metric: amount", "metric: amonut")).expect("writable");
    wait_for("the mistake being told", Duration::from_secs(4), || async {
        let state = session.get("/api/project").await;
        state["problems"].to_string().contains("amonut")
    })
    .await;
    let state = session.get("/api/project").await;
    let problem = &state["problems"][0];
    assert_eq!(problem["file"], "dashboards/company.yaml");
    assert!(problem["line"].as_u64().is_some_and(|l| l > 1), "{problem}");
    assert!(problem["hint"].to_string().contains("amount"), "{problem}");
    assert_eq!(session.get("/api/dashboards/company").await["title"]["en"], "Our fine company");
    wait_for("the log saying so", Duration::from_secs(2), || async { server.log().contains("amonut") }).await;
    std::fs::write(&file, good).expect("writable");
}

async fn backlog_grows(postgres: &Postgres) {
    postgres
        .run(&format!(
            "insert into approvals select {APPROVALS} + n, 'expense', '部门1', 10, 'open', now(), null, now() \
             from generate_series(1, 500) n"
        ))
        .await;
}

async fn backlog_shrinks(postgres: &Postgres) {
    postgres
        .run("update approvals set status = 'done', finished_at = now(), updated_at = now() where status = 'open'")
        .await;
}

/// The receiver refuses twice; the server is killed after the first refusal. The message arrives all
/// the same, every attempt under the same id, signed.
async fn is_told_although_killed(
    guanlan: &Guanlan<'_>,
    server: Served,
    receiver: &Receiver,
    password: &str,
) -> Served {
    wait_for("the first attempt", Duration::from_secs(90), || async { !receiver.all().is_empty() }).await;
    server.kill();
    let server = guanlan.serve().await;
    wait_for("the accepted delivery", Duration::from_secs(90), || async {
        receiver.all().iter().any(|r| r.status == 200)
    })
    .await;
    let attempts = receiver.all();
    assert!(attempts.len() >= 3, "two refusals, then accepted: {attempts:?}");
    assert!(attempts.iter().all(|a| a.is_signed_by(SECRET)), "every attempt is signed");
    let firing: Vec<_> = attempts.iter().filter(|a| a.json()["type"] == "alert.firing").collect();
    assert!(firing.iter().all(|a| a.id == firing[0].id), "one message, one id");
    assert_eq!(firing.iter().filter(|a| a.status == 200).count(), 1, "accepted once");
    let session = server.sign_in("lin", password).await;
    wait_for("the delivery being recorded", Duration::from_secs(20), || async {
        session.get("/api/alerts").await.to_string().contains("\"firing\"")
    })
    .await;
    server
}

async fn sees_why(session: &Session) {
    let alerts = session.get("/api/alerts?state=firing").await;
    let alert = &alerts["alerts"][0];
    assert_eq!(alert["rule"], "backlog_high");
    let detail = session.get(&format!("/api/alerts/{}", alert["id"].as_str().expect("an id"))).await;
    assert!(detail["series"]["points"].as_array().is_some_and(|p| !p.is_empty()), "the series: {detail}");
    assert!(detail["rule_yaml"].as_str().is_some_and(|y| y.contains("above")), "the rule: {detail}");
    let delivery = &detail["deliveries"][0];
    let history = delivery["history"].as_array().expect("attempts");
    assert!(
        history.iter().any(|a| a["status"] == 503) && history.iter().any(|a| a["status"] == 200),
        "{delivery}"
    );
    let deliveries: Value =
        session.post("/api/sql", json!({"sql": "select count(*) from system.deliveries"})).await;
    assert!(deliveries["rows"][0][0].as_i64().is_some_and(|n| n >= 1));
}

fn guanlan_yaml(s3: &S3, receiver: &Receiver) -> String {
    format!(
        "site: {{ name: {{zh: 我的公司, en: My company}}, timezone: Asia/Shanghai, locale: zh }}
store:
  s3: {{ bucket: {}, prefix: guanlan, endpoint: \"{}\", region: us-east-1, access_key: \"env:S3_KEY\", secret_key: \"env:S3_SECRET\", allow_http: true }}
outbound: {{ allow: [databases, \"{}\"] }}
channels:
  ops: {{ webhook: {{ url: \"http://{}/hook\", secret: \"env:HOOK_SECRET\", retry: [2s, 4s, 8s] }} }}
",
        s3.bucket, s3.endpoint, receiver.address, receiver.address
    )
}

const PROJECT: &[(&str, &str)] = &[
    (
        "sources/oa.yaml",
        r#"title: { zh: 审批库, en: Approvals database }
kind: { postgres: { url: "env:PG_URL" } }
every: 2s
streams:
  approvals: { table: approvals, mode: { incremental: { cursor: updated_at } } , clean: approvals }
"#,
    ),
    (
        "sources/crm.yaml",
        r#"title: { zh: 客户库, en: Customer database }
kind: { mysql: { url: "env:MYSQL_URL" } }
streams:
  customers: { table: customers, mode: { full: {} } }
"#,
    ),
    (
        "sources/drops.yaml",
        r#"title: { zh: 文件, en: Files }
kind: { files: { path: drops } }
streams:
  orders: { glob: "orders_*.csv", format: { csv: {} }, clean: orders }
  permits: { glob: "*.xes.gz", format: { xes: {} } }
"#,
    ),
    (
        "cleans/approvals.yaml",
        r#"title: { zh: 审批, en: Approvals }
from: raw.oa_approvals
key: [id]
latest: updated_at
columns:
  id: { type: int, required: true }
  process: { type: text }
  department: { type: text }
  amount: { type: { decimal: { precision: 18, scale: 2 } } }
  status: { type: text }
  submitted_at: { type: timestamp }
  finished_at: { type: timestamp }
  updated_at: { type: timestamp }
"#,
    ),
    (
        "cleans/orders.yaml",
        r#"title: { zh: 订单, en: Orders }
from: raw.drops_orders
key: [id]
columns:
  id: { from: 订单号, type: text, required: true }
  customer: { from: 客户, type: int }
  amount: { from: 金额, type: { decimal: { precision: 18, scale: 2 } }, amount: {} }
  day: { from: 日期, type: date, formats: ["%Y-%m-%d", "%Y/%m/%d", "%Y年%m月%d日"] }
"#,
    ),
    (
        "models/approvals.sql",
        "---
title: { zh: 审批, en: Approvals }
refresh: { full: {} }
checks:
  - not_null: [id]
  - unique: [id]
---
select id, process, department, amount, status, submitted_at, finished_at from clean.approvals
",
    ),
    (
        "models/backlog.sql",
        "---
title: { zh: 在途, en: Backlog }
refresh: { full: {} }
---
select now() as at, process, count(*) filter (where status = 'open') as open_count
from clean.approvals group by process
",
    ),
    (
        "metrics/amount.yaml",
        "title: { zh: 审批金额, en: Approved amount }
table: mart.approvals
measure: { sum: { column: amount } }
time: submitted_at
dimensions: { process: { zh: 流程, en: Process }, department: { zh: 部门, en: Department } }
unit: cny
direction: none
",
    ),
    (
        "metrics/backlog.yaml",
        "title: { zh: 在途审批, en: Backlog }
table: mart.backlog
measure: { latest: { column: open_count } }
time: at
dimensions: { process: { zh: 流程, en: Process } }
unit: count
direction: down
",
    ),
    (
        "dashboards/company.yaml",
        "title: { zh: 我们公司, en: Our company }
range: 90d
rows:
  - - kpi: { id: amount, metric: amount }
    - line: { id: trend, metric: amount, by: process }
  - - bar: { id: departments, metric: amount, by: department }
",
    ),
    (
        "rules/backlog_high.yaml",
        r#"title: { zh: 积压过高, en: Backlog too high }
ask: { metric: backlog, by: [process], grain: hour, window: 1d }
when: { above: { value: 100 } }
every: 2s
severity: critical
annotations:
  zh: { summary: "{{process}} 在途 {{value}} 件" }
  en: { summary: "{{value}} {{process}} approvals are waiting" }
notify: [ops]
"#,
    ),
];
