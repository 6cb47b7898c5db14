use super::*;
use chrono::NaiveDate;
use sqlx::Row;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names of real companies have no place in invented approvals.
#[test]
fn companies_are_invented_and_distinct() {
    use crate::names::{CUSTOMERS, VENDOR_NAMES};
    let real = [
        "华润",
        "永辉",
        "苏宁",
        "海尔",
        "美的",
        "格力",
        "三一",
        "中联",
        "万科",
        "招商",
        "宁德",
        "比亚迪",
        "蔚来",
        "顺丰",
        "京东",
        "恒信",
        "启明",
        "中科",
        "东方",
        "鼎盛",
        "联达",
        "蒙牛",
        "伊利",
        "安踏",
        "李宁",
    ];
    let names: Vec<&str> = CUSTOMERS.iter().chain(&VENDOR_NAMES).copied().collect();
    for name in &names {
        assert!(!real.iter().any(|real| name.contains(real)), "{name}");
    }
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

static FOLDERS: AtomicU64 = AtomicU64::new(0);

/// A fresh folder, removed again when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let n = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("guanlan-demo-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn date(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap()
}

fn at(day: NaiveDate, hour: u32, minute: u32) -> DateTime<Utc> {
    (day.and_hms_opt(hour, minute, 0).unwrap() - chrono::Duration::hours(8)).and_utc()
}

/// National Day week of 2026 off, the Saturday after it worked.
fn workday(day: NaiveDate) -> bool {
    use chrono::Datelike;
    let holiday = day >= date(2026, 10, 1) && day <= date(2026, 10, 7);
    (day.weekday().num_days_from_monday() < 5 && !holiday) || day == date(2026, 10, 10)
}

/// Three months, three hundred people: enough to see shapes, quick to make.
fn small() -> Settings {
    Settings {
        seed: 7,
        start: date(2026, 8, 20),
        now: at(date(2026, 11, 24), 9, 0),
        staff: 300,
        departments: 20,
        workday: Arc::new(workday),
    }
}

async fn create(folder: &Folder, settings: Settings) -> World {
    World::create(&folder.0, settings, &|_, _, _| {}).await.unwrap()
}

/// Every row of every table, and every file, as text.
async fn content(folder: &Folder) -> Vec<String> {
    let company = folder.0.join(COMPANY);
    let mut all = Vec::new();
    for (file, tables) in [
        (
            "oa.db",
            &[
                "departments",
                "employees",
                "approval_instances",
                "approval_tasks",
                "attendance",
                "access_log",
                "world_clock",
            ][..],
        ),
        ("tickets.db", &["tickets", "world_clock"][..]),
    ] {
        let mut db = connect(&company.join(file)).await.unwrap();
        for table in tables {
            let columns: Vec<String> = sqlx::query_scalar("select name from pragma_table_info(?)")
                .bind(*table)
                .fetch_all(&mut db)
                .await
                .unwrap();
            let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
            let sql = format!("select {} from {table} order by 1", quoted.join(" || '|' || "));
            let rows: Vec<String> =
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut db).await.unwrap();
            assert!(!rows.is_empty(), "{table} is empty");
            all.extend(rows.into_iter().map(|row| format!("{table}: {row}")));
        }
    }
    let mut files: Vec<_> =
        std::fs::read_dir(company.join("drops")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        all.push(format!("{:?} {:?}", file.file_name(), std::fs::read(&file).unwrap()));
    }
    all.push(std::fs::read_to_string(company.join("ground_truth.json")).unwrap());
    all
}

fn assert_same(left: &[String], right: &[String]) {
    for (a, b) in left.iter().zip(right) {
        assert_eq!(&a[..a.len().min(400)], &b[..b.len().min(400)]);
        assert!(a == b, "files differ");
    }
    assert_eq!(left.len(), right.len());
}

#[tokio::test]
async fn the_same_seed_makes_the_same_company_byte_for_byte() {
    let (left, right, other) = (Folder::new(), Folder::new(), Folder::new());
    create(&left, small()).await;
    create(&right, small()).await;
    create(&other, Settings { seed: 8, ..small() }).await;
    let content_left = content(&left).await;
    assert_same(&content_left, &content(&right).await);
    assert!(content_left != content(&other).await);
}

#[tokio::test]
async fn one_long_step_many_short_ones_and_a_later_birth_agree() {
    let (long, short) = (Folder::new(), Folder::new());
    let end = at(date(2026, 12, 4), 15, 17);
    let mut world = create(&long, small()).await;
    world.advance(end).await.unwrap();
    let mut world = create(&short, small()).await;
    let mut now = small().now;
    let mut minutes = 1;
    while now < end {
        minutes = minutes * 7 % 1_301;
        now = end.min(now + chrono::Duration::minutes(minutes));
        world.advance(now).await.unwrap();
    }
    assert_same(&content(&long).await, &content(&short).await);
}

#[tokio::test]
async fn a_resumed_world_repeats_nothing_and_loses_nothing() {
    let (straight, broken) = (Folder::new(), Folder::new());
    let end = at(date(2026, 11, 27), 11, 0);
    create(&straight, small()).await.advance(end).await.unwrap();
    let mut world = create(&broken, small()).await;
    for hours in [1, 5, 13, 30, 47] {
        world.advance(small().now + chrono::Duration::hours(hours)).await.unwrap();
        drop(world);
        world = World::resume(&broken.0).await.unwrap();
    }
    // Killed between the commits: the ticket system is ahead, the OA and a file are not.
    let ahead = moment(small().now + chrono::Duration::hours(49));
    world.plan_day(day_of(ahead));
    world.step_desk(ahead).await.unwrap();
    drop(world);
    let mut world = World::resume(&broken.0).await.unwrap();
    world.advance(end).await.unwrap();
    assert_same(&content(&straight).await, &content(&broken).await);
}

#[tokio::test]
async fn the_company_works_in_working_hours() {
    let folder = Folder::new();
    let mut world = create(&folder, small()).await;
    let db = &mut world.oa;
    let by_hour = "select count(*) from access_log where cast(substr(at, 12, 2) as integer) between ? and ?";
    let count = async |db: &mut SqliteConnection, from: i64, to: i64| -> i64 {
        sqlx::query_scalar(by_hour).bind(from).bind(to).fetch_one(db).await.unwrap()
    };
    let (morning, lunch, night) = (count(db, 9, 9).await, count(db, 12, 12).await, count(db, 0, 5).await);
    assert!(morning > 2 * lunch, "{morning} against {lunch} at lunch");
    assert!(lunch > 3 * night, "{lunch} against {night} at night");
    let on = async |db: &mut SqliteConnection, day: &str| -> i64 {
        let sql = "select count(*) from attendance where day = ?";
        sqlx::query_scalar(sql).bind(day.to_owned()).fetch_one(db).await.unwrap()
    };
    assert_eq!(on(db, "2026-10-05").await, 0, "a holiday");
    assert_eq!(on(db, "2026-11-22").await, 0, "a Sunday");
    assert!(on(db, "2026-10-10").await > 250, "a make-up Saturday");
    let sql = "select count(*) * 1.0 / count(distinct substr(submitted_at, 1, 10)) from approval_instances where process = 'expense' and substr(submitted_at, 9, 2)";
    let ends: f64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("{sql} in ('28', '29', '30')")))
        .fetch_one(&mut *db)
        .await
        .unwrap();
    let middles: f64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("{sql} in ('12', '13', '14')")))
        .fetch_one(&mut *db)
        .await
        .unwrap();
    assert!(ends > middles, "expenses peak at the end of the month: {ends} against {middles}");
}

#[tokio::test]
async fn approvals_wait_return_escalate_and_pass_by_themselves() {
    let folder = Folder::new();
    let mut world = create(&folder, small()).await;
    let sql = "select coalesce(result, 'open') || '/' || coalesce(channel, ''), count(*) from approval_tasks group by 1";
    let kinds: BTreeSet<String> =
        sqlx::query(sql).fetch_all(&mut world.oa).await.unwrap().iter().map(|row| row.get(0)).collect();
    for kind in [
        "agree/pc",
        "agree/mobile",
        "agree/auto",
        "return/pc",
        "reject/pc",
        "transfer/auto",
        "cancel/pc",
        "open/",
    ] {
        assert!(kinds.contains(kind), "no {kind} in {kinds:?}");
    }
    let sql = "select distinct status from approval_instances where status <> 'B' order by 1";
    let states: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut world.oa).await.unwrap();
    assert_eq!(states, ["A", "J", "R", "W"]);
    let sql = "select count(*) from approval_instances where returns > 0";
    let returned: i64 = sqlx::query_scalar(sql).fetch_one(&mut world.oa).await.unwrap();
    assert!(returned > 30, "{returned} documents came back to their starter");
}

#[tokio::test]
async fn planted_trouble_reaches_the_systems() {
    let folder = Folder::new();
    let mut world = create(&folder, small()).await;
    world.advance(at(date(2026, 12, 18), 9, 0)).await.unwrap();
    let truth = GroundTruth::read(&folder.0).unwrap();
    let kinds: BTreeSet<&str> =
        truth.0.iter().filter(|entry| entry.phase == "live").map(|entry| &*entry.kind).collect();
    assert!(kinds.len() >= 12, "{kinds:?}");
    assert!(truth.due(at(date(2026, 12, 18), 9, 0)).count() >= 12);
    let db = &mut world.oa;
    let count = async |db: &mut SqliteConnection, sql: &'static str| -> i64 {
        sqlx::query_scalar(sql).fetch_one(db).await.unwrap()
    };
    let twice = "select count(*) from (select invoice_no from approval_instances where invoice_no is not null group by 1 having count(*) > 1)";
    assert_eq!(count(db, twice).await, 3, "two live, one in the past");
    let failed = "select max(n) from (select count(*) n from access_log where action = 'login_failed' group by employee_id, substr(at, 1, 15))";
    assert!(count(db, failed).await >= 10);
    assert_eq!(count(db, "select count(*) from access_log where rows > 40000").await, 15);
    let gap = "select count(*) from (select employee_id / 1000, day, avg(status = 'absent') a from attendance a group by day, (select department_id from employees e where e.id = a.employee_id) having a > 0.5)";
    assert!(count(db, gap).await >= 2);
    let ledgers: Vec<String> = std::fs::read_dir(folder.0.join("company/drops"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("ledger_20261201"))
        .collect();
    assert_eq!(ledgers.len(), 1, "the feed stops at 10:30: {ledgers:?}");
}

#[tokio::test]
async fn exports_are_as_messy_as_promised() {
    let folder = Folder::new();
    create(&folder, small()).await;
    let drops = folder.0.join("company/drops");
    let orders = std::fs::read(drops.join("orders_202610.csv")).unwrap();
    assert!(std::str::from_utf8(&orders).is_err(), "not UTF-8");
    let (text, _, damaged) = encoding_rs::GB18030.decode(&orders);
    assert!(!damaged);
    assert!(text.starts_with("订单编号,下单时间"));
    for mess in ["￥", "万,", "月", "/", "．"] {
        assert!(text.contains(mess), "no {mess}");
    }
    assert!(
        text.contains("待定") || text.contains("见合同") || text.contains("待补") || text.contains("-13-45"),
        "no bad rows"
    );
    let ragged = text.lines().filter(|line| line.ends_with("请电话联系")).count();
    let months: usize = text.lines().count();
    assert!(months > 3_000, "{months} lines");
    assert!(ragged < months / 200);
    let ledger = std::fs::read(drops.join("ledger_202610.csv")).unwrap();
    assert!(ledger.starts_with(&[0xef, 0xbb, 0xbf]), "a byte order mark");
    let budget = std::fs::read(drops.join("budget_2026.xlsx")).unwrap();
    assert!(budget.starts_with(b"PK"));
    assert!(std::fs::read_dir(&drops).unwrap().count() < 120);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let folder = Folder::new();
    let refused = World::create(&folder.0, Settings { departments: 3, ..small() }, &|_, _, _| {}).await;
    assert!(matches!(refused, Err(Error::Settings(_))));
    create(&folder, small()).await;
    let again = World::create(&folder.0, small(), &|_, _, _| {}).await;
    assert!(matches!(again, Err(Error::Exists(_))));
}

#[tokio::test]
async fn the_full_company_has_a_million_log_rows_quickly() {
    let folder = Folder::new();
    let settings = Settings { start: date(2025, 5, 24), staff: 2_000, departments: 40, ..small() };
    let begun = std::time::Instant::now();
    let mut world = create(&folder, settings).await;
    let took = begun.elapsed();
    let mut counts = Vec::new();
    for table in ["employees", "approval_instances", "approval_tasks", "attendance", "access_log"] {
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        let rows: i64 = sqlx::query_scalar(sql).fetch_one(&mut world.oa).await.unwrap();
        counts.push((table, rows));
    }
    println!("made in {took:?}: {counts:?}");
    assert!(counts[0].1 > 1_900);
    assert!(counts[4].1 >= 1_000_000, "{counts:?}");
    assert!(std::fs::read_dir(folder.0.join("company/drops")).unwrap().count() < 120);
    // The budget is 12 s alone on two cores; a busy machine gets a margin.
    assert!(took < Duration::from_secs(40), "{took:?}");
}
