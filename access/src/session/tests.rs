use std::sync::Arc;
use std::time::Duration;

use store::{Clock, ManualClock};

use super::*;
use crate::principal::Role;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

struct Stage {
    db: Metadata,
    clock: Arc<ManualClock>,
    users: Users,
    sessions: Sessions,
    password: String,
}

async fn stage() -> Stage {
    let db = Metadata::memory().await.unwrap();
    let clock = Arc::new(ManualClock::new("2026-03-02T01:00:00Z".parse().unwrap(), 1));
    let users = Users::open(db.clone(), clock.clone()).await.unwrap();
    let sessions =
        Sessions::open(db.clone(), clock.clone(), users.clone(), SessionSettings::default()).await.unwrap();
    let password = users.add("li", "Li", &[Role::Ops], None).await.unwrap();
    Stage { db, clock, users, sessions, password }
}

impl Stage {
    async fn login(&self) -> String {
        self.sessions.login("li", &self.password, "192.0.2.7", "browser").await.unwrap().0
    }

    async fn open(&self, token: &str) -> bool {
        self.sessions.principal(token).await.unwrap().is_some()
    }
}

#[tokio::test]
async fn a_token_opens_the_session_until_it_is_logged_out_and_only_its_hash_is_kept() {
    let s = stage().await;
    let (token, who) = s.sessions.login(" LI ", &s.password, "192.0.2.7", "browser").await.unwrap();
    assert_eq!((token.len(), who.user.as_str()), (43, "li"));
    assert!(s.open(&token).await && !s.open("other").await && !s.open("").await);
    let stored: String =
        sqlx::query_scalar("SELECT token_hash FROM sessions").fetch_one(s.db.pool()).await.unwrap();
    assert_ne!(stored, token);
    assert!(!s.open(&stored).await, "what the database holds is no key");
    assert_eq!(s.users.get("li").await.unwrap().unwrap().last_login, Some(s.clock.now()));
    s.sessions.logout(&token).await.unwrap();
    assert!(!s.open(&token).await);
}

#[tokio::test]
async fn a_session_ends_when_idle_and_at_its_greatest_age_however_busy() {
    let s = stage().await;
    let idle = s.login().await;
    s.clock.advance(8 * HOUR - MINUTE);
    assert!(s.open(&idle).await);
    s.clock.advance(8 * HOUR - MINUTE);
    assert!(s.open(&idle).await, "use renews it");
    s.clock.advance(8 * HOUR);
    assert!(!s.open(&idle).await);

    let busy = s.login().await;
    for _ in 0..7 * 24 - 1 {
        s.clock.advance(HOUR);
        assert!(s.open(&busy).await);
    }
    s.clock.advance(HOUR);
    assert!(!s.open(&busy).await);
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sessions").fetch_one(s.db.pool()).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn disabling_a_user_or_changing_the_password_ends_the_sessions_and_roles_are_those_of_now() {
    let s = stage().await;
    let token = s.login().await;
    s.users.set_roles("li", &[Role::Executive]).await.unwrap();
    assert_eq!(s.sessions.principal(&token).await.unwrap().unwrap().roles, [Role::Executive]);
    let password = s.users.set_password("li", None).await.unwrap();
    assert!(!s.open(&token).await);
    let (token, _) = s.sessions.login("li", &password, "192.0.2.7", "").await.unwrap();
    s.users.disable("li").await.unwrap();
    assert!(!s.open(&token).await);
    assert!(matches!(s.sessions.login("li", &password, "192.0.2.7", "").await, Err(LoginError::Wrong)));
}

#[tokio::test]
async fn failures_make_their_user_wait_longer_and_longer_at_their_address_alone_and_never_for_long() {
    let s = stage().await;
    for i in 0..5 {
        let wrong = s.sessions.login("li", "wrong password", "127.0.0.1", "").await;
        assert!(matches!(wrong, Err(LoginError::Wrong)), "{i}");
    }
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        let slowed = s.sessions.login("li", &s.password, "127.0.0.1", "").await;
        let until = s.clock.now() + Duration::from_secs(seconds);
        assert!(matches!(slowed, Err(LoginError::Locked { until: u }) if u == until), "{slowed:?}");
        s.clock.advance(Duration::from_secs(seconds));
        let wrong = s.sessions.login("li", "wrong password", "127.0.0.1", "").await;
        assert!(matches!(wrong, Err(LoginError::Wrong)), "{seconds}");
    }
    // Nobody slows another's account from their own address, and a success elsewhere helps nothing here.
    s.sessions.login("li", &s.password, "198.51.100.1", "").await.unwrap();
    assert!(s.sessions.login("li", &s.password, "127.0.0.1", "").await.is_err());
    s.clock.advance(MINUTE);
    s.sessions.login("li", &s.password, "127.0.0.1", "").await.unwrap();
}

#[tokio::test]
async fn failures_from_many_addresses_slow_a_user_everywhere_known_or_not() {
    let s = stage().await;
    // Failures are counted without judging passwords, which takes its time.
    for user in ["li", "ghost"] {
        for i in 0..lockout::ANYWHERE.free {
            let ip = format!("192.0.2.{i}");
            let attempt = lockout::begin(&s.db, &*s.clock, user, &ip).await.unwrap();
            attempt.failed(&s.db, &*s.clock).await.unwrap();
        }
    }
    for user in ["li", "ghost"] {
        let locked = s.sessions.login(user, &s.password, "198.51.100.1", "").await;
        assert!(matches!(locked, Err(LoginError::Locked { .. })), "{user}: {locked:?}");
    }
    s.clock.advance(Duration::from_secs(lockout::ANYWHERE.longest));
    s.sessions.login("li", &s.password, "198.51.100.1", "").await.unwrap();
    // Where they signed in before, nobody's guesses keep them waiting.
    let attempt = lockout::begin(&s.db, &*s.clock, "li", "192.0.2.250").await.unwrap();
    attempt.failed(&s.db, &*s.clock).await.unwrap();
    assert!(matches!(
        lockout::begin(&s.db, &*s.clock, "li", "192.0.2.251").await,
        Err(LoginError::Locked { .. })
    ));
    s.sessions.login("li", &s.password, "198.51.100.1", "").await.unwrap();
}

#[tokio::test]
async fn an_unknown_user_is_answered_and_slowed_like_a_known_one() {
    let s = stage().await;
    for _ in 0..5 {
        assert!(matches!(
            s.sessions.login("ghost", "wrong password", "127.0.0.1", "").await,
            Err(LoginError::Wrong)
        ));
    }
    assert!(matches!(
        s.sessions.login("ghost", "wrong password", "127.0.0.1", "").await,
        Err(LoginError::Locked { .. })
    ));
}

#[tokio::test]
async fn many_names_tried_from_one_address_slow_it_and_a_machine_that_may_be_a_proxy_less() {
    let s = stage().await;
    for i in 0..10 {
        // One customer of IPv6 owns a whole /64.
        let (user, ip) = (format!("user{i}"), format!("2400:3200:1:2::{i:x}"));
        assert!(matches!(s.sessions.login(&user, "wrong password", &ip, "").await, Err(LoginError::Wrong)));
        assert!(matches!(
            s.sessions.login(&format!("other{i}"), "wrong password", "127.0.0.1", "").await,
            Err(LoginError::Wrong)
        ));
    }
    let slowed = s.sessions.login("li", &s.password, "2400:3200:1:2:ffff::1", "").await;
    assert!(matches!(slowed, Err(LoginError::Locked { .. })), "{slowed:?}");
    s.sessions.login("li", &s.password, "2400:3200:1:3::1", "").await.unwrap();
    s.sessions.login("li", &s.password, "127.0.0.1", "").await.unwrap();
    // Spraying from behind a proxy is slowed too, but never for long.
    for i in 10..20 {
        let _ = s.sessions.login(&format!("other{i}"), "wrong password", "127.0.0.1", "").await;
    }
    let slowed = s.sessions.login("li", &s.password, "127.0.0.1", "").await;
    assert!(matches!(slowed, Err(LoginError::Locked { .. })), "{slowed:?}");
    s.clock.advance(Duration::from_secs(lockout::LOOPBACK.longest));
    s.sessions.login("li", &s.password, "127.0.0.1", "").await.unwrap();
}

#[tokio::test]
async fn a_success_forgives_the_failures_of_its_user_at_its_address() {
    let s = stage().await;
    for _ in 0..3 {
        for _ in 0..4 {
            let wrong = s.sessions.login("li", "wrong password", "127.0.0.1", "").await;
            assert!(matches!(wrong, Err(LoginError::Wrong)));
        }
        s.sessions.login("li", &s.password, "127.0.0.1", "").await.unwrap();
    }
}

#[tokio::test]
async fn guesses_sent_at_once_are_counted_before_they_are_judged() {
    let s = stage().await;
    let tries = (0..40).map(|i| {
        let sessions = s.sessions.clone();
        tokio::spawn(async move { sessions.login("li", &format!("guess number {i}"), "127.0.0.1", "").await })
    });
    let mut judged = 0;
    for task in tries.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Err(LoginError::Wrong) => judged += 1,
            Err(LoginError::Locked { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(judged, lockout::HERE.free);
}

#[tokio::test]
async fn a_user_keeps_the_twenty_newest_sessions() {
    let s = stage().await;
    let first = s.login().await;
    for _ in 0..20 {
        s.clock.advance(MINUTE);
        s.login().await;
    }
    assert!(!s.open(&first).await);
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sessions").fetch_one(s.db.pool()).await.unwrap();
    assert_eq!(left, 20);
}

#[tokio::test]
async fn a_csrf_token_fits_its_own_session_only() {
    let s = stage().await;
    let (a, b) = (s.login().await, s.login().await);
    assert!(s.sessions.csrf_matches(&a, &s.sessions.csrf(&a)));
    assert!(!s.sessions.csrf_matches(&b, &s.sessions.csrf(&a)));
    assert!(!s.sessions.csrf_matches(&a, "") && !s.sessions.csrf(&a).contains(&a));
}

#[tokio::test]
async fn logins_are_audited_without_names_that_are_no_account() {
    let s = stage().await;
    s.login().await;
    let _ = s.sessions.login("my secret password", "x", "192.0.2.7", "").await;
    let _ = s.sessions.login("li", "x", "192.0.2.7", "").await;
    let audit = Audit::open(s.db.clone(), s.clock.clone()).await.unwrap();
    let rows = audit.page(None, 10).await.unwrap();
    let seen: Vec<_> = rows.iter().map(|r| (r.actor.as_str(), r.outcome.as_str(), r.ip.as_str())).collect();
    assert_eq!(
        seen,
        [("li", "wrong", "192.0.2.7"), ("(unknown)", "wrong", "192.0.2.7"), ("li", "ok", "192.0.2.7")]
    );
}
