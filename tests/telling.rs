//! Warning and telling through the doors: what an alert shows whom, messages that were refused, channels, and
//! addresses that nobody reads.

use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::{Folder, Guanlan, Receiver, Session, wait_for};

const TOKEN: &str = "t0ken-t0ken-t0ken";

/// A company with one table, a rule over its raw rows, one over its mart, and a channel behind an address with a
/// token.
fn project(folder: &Folder, address: &str) {
    folder.write(
        "guanlan.yaml",
        format!(
            "site: {{ name: Test, timezone: Asia/Shanghai, locale: en }}\noutbound: {{ allow: [\"{address}\"] }}\n\
             channels:\n  ops: {{ webhook: {{ url: \"http://{address}/hook?token={TOKEN}\", secret: \"env:HOOK_SECRET\", retry: [1s] }} }}\n"
        ),
    );
    folder.write(
        "sources/shop.yaml",
        "title: Shop\nkind: { files: { path: drops } }\nstreams:\n  rows: { glob: '*.csv', format: { csv: {} } }\n",
    );
    folder.write("drops/a.csv", "id,customer\n1,Secret Lin\n2,Secret Wang\n");
    folder.write(
        "models/orders.sql",
        "---\ntitle: Orders\nrefresh: { full: {} }\n---\nselect id from raw.shop_rows\n",
    );
    for (name, table, key) in [("closed", "raw.shop_rows", "customer"), ("open", "mart.orders", "id")] {
        folder.write(
            &format!("rules/{name}.yaml"),
            format!(
                "title: Seen\nwhen: {{ rows: {{ sql: \"select {key} from {table}\", key: [{key}] }} }}\nevery: 1s\n\
                 severity: info\nannotations: {{ en: {{ summary: 'about {{{{{key}}}}}' }} }}\nnotify: [ops]\n"
            ),
        );
    }
}

fn secret() -> String {
    let text = base64::engine::general_purpose::STANDARD.encode("a secret of thirty-two bytes long");
    format!("whsec_{text}")
}

async fn alerts(session: &Session) -> Vec<Value> {
    session.get("/api/alerts").await["alerts"].as_array().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_sees_its_part_and_the_doors_of_telling_work() {
    let folder = Folder::new("telling");
    let receiver = Receiver::start(0).await;
    project(&folder, &receiver.address);
    let guanlan = Guanlan::new(folder.path()).env("HOOK_SECRET", &secret());
    guanlan.ok(&["sync"]);
    let mut passwords = vec![];
    for role in ["executive", "analyst", "ops"] {
        let added = guanlan.json(&["user", "add", role, "--role", role]);
        passwords.push((role, added["password"].as_str().unwrap().to_owned()));
    }
    let server = guanlan.serve().await;
    let mut sessions = vec![];
    for (role, password) in &passwords {
        sessions.push((*role, server.sign_in(role, password).await));
    }
    let ops = &sessions[2].1;
    wait_for("four alerts", Duration::from_secs(60), || async { alerts(ops).await.len() == 4 }).await;
    wait_for("four messages", Duration::from_secs(30), || async { receiver.all().len() >= 4 }).await;

    for (role, session) in &sessions {
        for alert in alerts(session).await {
            let id = alert["id"].as_str().unwrap();
            let detail = session.get(&format!("/api/alerts/{id}")).await;
            let open = alert["rule"] == "open" || *role != "executive";
            for told in [alert.to_string(), detail.to_string()] {
                let shows = told.contains("Secret") || told.contains("about");
                assert_eq!(shows, open, "{role}: {told}");
            }
            assert_eq!(detail["hidden"], !open, "{role}: {detail}");
            assert_eq!(detail.get("rule_yaml").is_some(), *role != "executive", "{role}: {detail}");
            let answers = detail["deliveries"][0]["history"][0]["response"].as_str().unwrap_or_default();
            assert!(*role == "ops" || answers.is_empty(), "{role}: {detail}");
        }
        let status = session.try_get("/api/deliveries").await.0;
        assert_eq!(status, if *role == "ops" { 200 } else { 403 }, "{role}");
        let status = session.try_post("/api/channels/ops/test", json!({})).await.0;
        assert_eq!(status, if *role == "ops" { 200 } else { 403 }, "{role}");
    }

    let page = ops.get("/api/deliveries?state=accepted&limit=2").await;
    assert!(page["next"].is_string(), "{page}");
    // A test of a channel is not kept: it is made anew instead.
    let page = ops.get("/api/deliveries?state=accepted&limit=50").await;
    let mut ids = page["deliveries"].as_array().unwrap().iter().filter_map(|d| d["id"].as_str());
    let id = ids.find(|id| !id.contains("-test-")).unwrap();
    let before = receiver.all().iter().filter(|r| r.id == id).count();
    ops.post(&format!("/api/deliveries/{id}/resend"), json!({})).await;
    wait_for("the message again", Duration::from_secs(30), || async {
        receiver.all().iter().filter(|r| r.id == id).count() > before
    })
    .await;
    assert_eq!(ops.try_post("/api/deliveries/nobody/resend", json!({})).await.0, 404);
    assert_eq!(ops.try_post("/api/channels/opps/reopen", json!({})).await.0, 404);
    let channels = ops.get("/api/channels").await;
    assert_eq!((&channels[0]["name"], &channels[0]["state"]), (&json!("ops"), &json!("open")), "{channels}");
    assert!(!channels.to_string().contains(TOKEN), "{channels}");

    // A rule that is removed ends its alerts, and says so.
    std::fs::remove_file(folder.path().join("rules/open.yaml")).unwrap();
    wait_for("the end of the removed rule", Duration::from_secs(30), || async {
        receiver.all().iter().any(|r| r.json()["data"]["ending"] == "rule_removed")
    })
    .await;
    assert!(!server.log().contains(TOKEN), "the log tells no address");
    assert!(server.stop());
}

#[test]
fn the_command_line_tests_lists_and_sends_again_without_showing_an_address() {
    let folder = Folder::new("telling-cli");
    project(&folder, "127.0.0.1:9");
    let guanlan = Guanlan::new(folder.path()).env("HOOK_SECRET", &secret());
    let shown = guanlan.ok(&["config"]);
    assert!(shown.contains("http://127.0.0.1:9/***") && !shown.contains(TOKEN), "{shown}");
    let channels = guanlan.json(&["channel", "list"]);
    assert_eq!(channels[0]["address"], "http://127.0.0.1:9/***");
    let (code, all) = guanlan.fails(&["channel", "test", "ops"]);
    assert!(code == 1 && all.contains("127.0.0.1") && !all.contains(TOKEN), "{all}");
    let (code, all) = guanlan.fails(&["channel", "test", "opps"]);
    assert!(code == 2 && all.contains("did you mean ops?"), "{all}");
    assert!(guanlan.ok(&["channel", "reopen", "ops"]).contains("was open"));
    let page = guanlan.json(&["delivery", "list", "--state", "dead"]);
    assert_eq!(page["deliveries"][0]["kind"], "channel.test", "{page}");
    assert!(!page.to_string().contains(TOKEN));
    let (code, all) = guanlan.fails(&["delivery", "resend", "nobody"]);
    assert!(code == 2 && all.contains("guanlan delivery list"), "{all}");
    let (code, _) = guanlan.fails(&["delivery", "list", "--state", "lost"]);
    assert_eq!(code, 2);
}

#[test]
fn what_never_runs_and_waits_that_are_none_are_refused_by_check() {
    let folder = Folder::new("never");
    project(&folder, "127.0.0.1:9");
    let guanlan = Guanlan::new(folder.path()).env("HOOK_SECRET", &secret());
    let source =
        "title: S\nkind: { files: { path: drops } }\nstreams:\n  r: { glob: '*.csv', format: { csv: {} } }\n";
    let rule = "title: Never\nwhen: { rows: { sql: \"select 1 as k\", key: [k] } }\nseverity: info\n";
    folder.write("rules/never.yaml", format!("{rule}cron: \"0 0 31 2 *\"\n"));
    folder.write("sources/never.yaml", format!("{source}cron: \"0 0 31 4,6 *\"\n"));
    let (code, all) = guanlan.fails(&["check"]);
    assert!(code == 2 && all.contains("rules/never.yaml:4:7") && all.contains("never comes"), "{all}");
    assert!(all.contains("sources/never.yaml:5:7"), "{all}");
    folder.write("rules/never.yaml", format!("{rule}cron: \"0 9 L * *\"\n"));
    folder.write("sources/never.yaml", format!("{source}cron: \"0 6 * * workday\"\n"));
    guanlan.ok(&["check"]);
    folder.write(
        "guanlan.yaml",
        "site: { name: Test }\nchannels:\n  ops: { webhook: { url: \"ftp://h/t0ken-t0ken-t0ken\", secret: \"env:S\", retry: [0s] } }\n",
    );
    let (_, all) = guanlan.fails(&["check"]);
    assert!(all.contains("a wait of zero") && all.contains("guanlan.yaml:3"), "{all}");
}
