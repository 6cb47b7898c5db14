use std::sync::Arc;

use store::ManualClock;

use super::*;

async fn users() -> (Metadata, Users) {
    let db = Metadata::memory().await.unwrap();
    let clock = Arc::new(ManualClock::new("2026-03-02T01:00:00Z".parse().unwrap(), 1));
    let users = Users::open(db.clone(), clock).await.unwrap();
    (db, users)
}

#[tokio::test]
async fn a_random_password_opens_the_account_and_only_its_hash_is_kept() {
    let (db, users) = users().await;
    let password =
        users.add("Zhang.Wei", "张伟", &[Role::Ops, Role::Analyst, Role::Ops], None).await.unwrap();
    assert_eq!(password.len(), 19);
    let who = users.verify("zhang.wei", &password).await.unwrap().unwrap();
    assert_eq!((who.user.as_str(), who.display.as_str()), ("zhang.wei", "张伟"));
    assert_eq!(who.roles, [Role::Analyst, Role::Ops]);
    assert_eq!(users.verify("zhang.wei", "wrong password").await.unwrap(), None);
    assert_eq!(users.verify("nobody", &password).await.unwrap(), None);
    assert_eq!(users.verify("zhang.wei", &"x".repeat(100_000)).await.unwrap(), None);
    let hash: String =
        sqlx::query_scalar("SELECT password_hash FROM users").fetch_one(db.pool()).await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !hash.contains(&password), "{hash}");
    assert!(!format!("{users:?}").contains(&password));
}

#[tokio::test]
async fn names_passwords_and_roles_that_do_not_fit_are_refused_with_a_reason() {
    let (_db, users) = users().await;
    for (name, roles, password, part) in [
        ("", &[Role::Ops][..], None, "1 to 64"),
        ("has space", &[Role::Ops], None, "letters"),
        ("(system)", &[Role::Ops], None, "letters"),
        ("li", &[], None, "needs a role"),
        ("li", &[Role::Ops], Some("short"), "shorter than 10"),
        ("lihua", &[Role::Ops], Some("LiHua-2026!"), "contains the user name"),
        ("li", &[Role::Ops], Some("aaaaaaaaaaaa"), "repeats"),
    ] {
        let error = users.add(name, "Li", roles, password).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid(why) if why.contains(part)), "{name}: {error}");
    }
    users.add("li", "Li", &[Role::Ops], Some("correct horse")).await.unwrap();
    let error = users.add("LI", "Li", &[Role::Ops], None).await.unwrap_err().to_string();
    assert!(error.contains("already exists"), "{error}");
    assert_eq!(users.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_new_password_replaces_the_old_and_a_disabled_user_cannot_sign_in() {
    let (_db, users) = users().await;
    let old = users.add("li", "Li", &[Role::Ops], None).await.unwrap();
    let new = users.set_password("li", None).await.unwrap();
    assert_ne!(old, new);
    assert_eq!(users.verify("li", &old).await.unwrap(), None);
    users.disable("li").await.unwrap();
    assert_eq!(users.verify("li", &new).await.unwrap(), None);
    assert!(users.get("li").await.unwrap().unwrap().disabled);
    assert!(matches!(users.disable("nobody").await, Err(Error::UnknownUser(_))));
    assert!(matches!(users.set_password("nobody", None).await, Err(Error::UnknownUser(_))));
}

#[tokio::test]
async fn a_flood_of_logins_is_answered_busy_beyond_the_queue() {
    let (_db, users) = users().await;
    let password = users.add("li", "Li", &[Role::Ops], None).await.unwrap();
    let tries = (0..120).map(|_| {
        let (users, password) = (users.clone(), password.clone());
        tokio::spawn(async move { users.verify("li", &password).await })
    });
    let (mut right, mut busy) = (0, 0);
    for task in tries.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(Some(_)) => right += 1,
            Err(Error::Busy) => busy += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(right + busy, 120);
    assert!(right >= 66 && busy > 0, "{right} right, {busy} busy");
    assert!(users.verify("li", &password).await.unwrap().is_some(), "it recovers");
}

#[tokio::test]
async fn the_last_admin_stays_and_a_reset_does_not_enable() {
    let (_db, users) = users().await;
    users.add("root", "Root", &[Role::Admin], None).await.unwrap();
    users.add("wu", "Wu", &[Role::Analyst], None).await.unwrap();
    assert!(users.disable("root").await.unwrap_err().to_string().contains("last admin"));
    assert!(users.set_roles("root", &[Role::Ops]).await.is_err());
    users.set_roles("wu", &[Role::Admin]).await.unwrap();
    users.disable("root").await.unwrap();
    users.set_password("root", None).await.unwrap();
    assert!(users.get("root").await.unwrap().unwrap().disabled);
    users.enable("root").await.unwrap();
    assert!(!users.get("root").await.unwrap().unwrap().disabled);
}
