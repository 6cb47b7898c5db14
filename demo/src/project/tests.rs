use super::*;

fn folder(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("guanlan-demo-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn options(webhook: u16, tickets: u16) -> ProjectOptions {
    ProjectOptions {
        listen: "127.0.0.1:7000".into(),
        webhook,
        tickets,
        random: std::array::from_fn(|n| n as u8),
    }
}

#[test]
fn the_folder_holds_every_kind_of_definition_with_the_real_addresses() {
    let dir = folder("project");
    // Each port is the other's default: none may be replaced twice.
    project(&dir, &options(9401, 9400)).unwrap();
    let project = dir.join(PROJECT);
    let count = |kind: &str| std::fs::read_dir(project.join(kind)).unwrap().count();
    assert!(count("sources") >= 4);
    assert!(count("models") >= 14);
    assert!(count("metrics") >= 25);
    assert!(count("dashboards") >= 4);
    assert!(count("rules") >= 14);
    let main = std::fs::read_to_string(project.join("guanlan.yaml")).unwrap();
    assert!(main.contains("listen: 127.0.0.1:7000"));
    assert!(main.contains("http://127.0.0.1:9401/hook"));
    let tickets = std::fs::read_to_string(project.join("sources/tickets.yaml")).unwrap();
    assert!(tickets.contains("http://127.0.0.1:9400\""));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[cfg(unix)]
#[test]
fn secrets_are_readable_by_their_owner_only_and_fit_the_signature_standard() {
    use std::os::unix::fs::PermissionsExt;
    let dir = folder("secrets");
    project(&dir, &options(9400, 9401)).unwrap();
    for name in ["ticket.token", "webhook.secret"] {
        let path = dir.join(PROJECT).join(".guanlan").join(name);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let key = std::fs::read_to_string(dir.join(PROJECT).join(".guanlan/webhook.secret")).unwrap();
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(key.strip_prefix("whsec_").unwrap()).unwrap();
    assert_eq!(bytes.len(), 32);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn edits_and_secrets_survive_a_second_start() {
    let dir = folder("edits");
    project(&dir, &options(9400, 9401)).unwrap();
    let rule = dir.join(PROJECT).join("rules/failed_logins.yaml");
    std::fs::write(&rule, "mine").unwrap();
    let token = dir.join(PROJECT).join(".guanlan/ticket.token");
    let before = std::fs::read_to_string(&token).unwrap();
    project(&dir, &ProjectOptions { random: [9; 64], ..options(9400, 9401) }).unwrap();
    assert_eq!(std::fs::read_to_string(&rule).unwrap(), "mine");
    assert_eq!(std::fs::read_to_string(&token).unwrap(), before);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn every_planted_kind_has_its_rule_in_the_project() {
    let names: Vec<String> = Files::iter().map(|name| name.into_owned()).collect();
    for rule in [
        "failed_logins",
        "duplicate_invoice",
        "unusual_expense",
        "split_purchase",
        "approver_on_leave",
        "off_hours_export",
        "attendance_gap",
        "backlog_surge",
        "order_slump",
        "active_users_drop",
        "budget_overrun",
        "ledger_feed_stopped",
    ] {
        assert!(names.contains(&format!("rules/{rule}.yaml")), "{rule}");
    }
}
