//! Broken projects and what is said about them: file:line:column, message, hint.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::{DataType, Field, Schema};
use futures::StreamExt;
use store::SystemClock;

use dashboards::Tile;

use super::*;

/// A project in a temporary folder, made from the starter project.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("guanlan-project-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        crate::init::init(&dir, "Test").unwrap();
        Self(dir)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.0.join(file)).unwrap();
    }

    fn loader(&self) -> Loader {
        Loader::new(&self.0, Arc::new(SystemClock))
    }

    fn findings(&self) -> Vec<String> {
        match self.loader().load() {
            Ok(loaded) => shown(&loaded.findings),
            Err(unusable) => shown(&unusable.findings),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn shown(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .map(|f| match &f.hint {
            Some(hint) => format!("{f} | {hint}"),
            None => f.to_string(),
        })
        .collect()
}

/// One wrong file in an otherwise good project, and all that is said about it.
struct Wrong {
    file: &'static str,
    text: &'static str,
    said: &'static [&'static str],
}

fn check_all(name: &str, cases: &[Wrong]) {
    let mut failures = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let folder = Folder::new(&format!("{name}-{index}"));
        folder.write(case.file, case.text);
        let said = folder.findings();
        if said != case.said {
            failures
                .push(format!("{}\n{}\nsaid     {said:#?}\nexpected {:#?}", case.file, case.text, case.said));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn keys_and_types_are_checked_where_they_stand() {
    check_all(
        "keys",
        &[
            Wrong {
                file: "guanlan.yaml",
                text: "site:\n  name: X\n  timezon: UTC\n",
                said: &["guanlan.yaml:3:3: error: unknown key `timezon` | did you mean `timezone`?"],
            },
            Wrong {
                file: "guanlan.yaml",
                text: "site: { name: X, timezone: Asia/Shanghia }\n",
                said: &[
                    "guanlan.yaml:1:28: error: there is no time zone `Asia/Shanghia` | did you mean `Asia/Shanghai`?",
                ],
            },
            Wrong {
                file: "guanlan.yaml",
                text: "site: { name: X }\nlisten: 8080\n",
                said: &[
                    "guanlan.yaml:2:9: error: `8080` is not an address and port | write 127.0.0.1:8080, or 0.0.0.0:8080 for all addresses",
                ],
            },
            Wrong {
                file: "guanlan.yaml",
                text: "site: { name: X }\nquery: { memory_mib: hunter2 }\n",
                // The text may be a secret in the wrong place.
                said: &[
                    "guanlan.yaml:2:22: error: expected a whole number, zero or more | write a number, without quotes",
                ],
            },
            Wrong {
                file: "guanlan.yaml",
                text: "site: { name: X, fiscal_month: 13 }\nquery: { memory_mib: 1 }\n",
                said: &[
                    "guanlan.yaml:1:32: error: `fiscal_month` must be a month from 1 to 12 | fiscal_month: 1",
                    "guanlan.yaml:2:22: error: queries need at least 64 MiB of memory | memory_mib: 1024",
                ],
            },
            Wrong {
                file: "metrics/orders.yaml",
                text: "title: Orders\ntable: mart.orders\nmeasure: { count: {} }\ntime: ordered_on\nunits: count\n",
                said: &["metrics/orders.yaml:5:1: error: unknown key `units` | did you mean `unit`?"],
            },
            Wrong {
                file: "metrics/orders.yaml",
                text: "title: Orders\ntable: mart.orders\nmeasure:\n  counts: {}\ntime: ordered_on\n",
                said: &["metrics/orders.yaml:4:3: error: unknown word `counts` | did you mean `count`?"],
            },
            Wrong {
                file: "metrics/orders.yaml",
                text: "title: Orders\ntable: gold.orders\nmeasure: { count: {} }\ntime: ordered_on\n",
                said: &[
                    "metrics/orders.yaml:2:8: error: there is no zone `gold` | write one of raw, clean, mart, system",
                ],
            },
            Wrong {
                file: "dashboards/overview.yaml",
                text: "title: X\nrows:\n  - - kpi: { metric: revenue, widht: 3 }\n",
                said: &["dashboards/overview.yaml:3:31: error: unknown key `widht` | did you mean `width`?"],
            },
            Wrong {
                file: "dashboards/overview.yaml",
                text: "title: X\nrows:\n  - kpi: { metric: revenue }\n",
                said: &["dashboards/overview.yaml:3:5: error: expected a list | write a list: [a, b]"],
            },
            Wrong {
                file: "dashboards/overview.yaml",
                text: "title: X\nrows:\n\t- - kpi: { metric: revenue }\n",
                said: &[
                    "dashboards/overview.yaml:3:1: error: a tab indents this line | YAML is indented with spaces: replace the tab by two spaces",
                ],
            },
            Wrong {
                file: "models/orders.sql",
                text: "---\ntitle: X\nrefersh: { full: {} }\n---\nselect id, ordered_on, region, amount from clean.orders\n",
                said: &["models/orders.sql:3:1: error: unknown key `refersh` | did you mean `refresh`?"],
            },
            Wrong {
                file: "calendar.yaml",
                text: "holidays:\n  2027-13-01: New Year\n",
                said: &["calendar.yaml:2:3: error: input is out of range"],
            },
        ],
    );
}

#[test]
fn names_that_nothing_answers_to_are_told_with_what_was_meant() {
    check_all(
        "names",
        &[
            Wrong {
                file: "sources/shop.yaml",
                text: "kind: { files: { path: drops } }\nstreams:\n  orders:\n    glob: \"*.csv\"\n    format: { csv: {} }\n    clean: order\n",
                said: &[
                    "sources/shop.yaml:6:12: error: there is no cleaning `order` | did you mean `orders`?",
                ],
            },
            Wrong {
                file: "cleans/extra.yaml",
                text: "from: raw.shop_order\ncolumns:\n  id: {}\n",
                said: &[
                    "cleans/extra.yaml:1:7: error: there is no table `raw.shop_order` | did you mean `raw.shop_orders`?",
                ],
            },
            Wrong {
                file: "models/extra.sql",
                text: "---\ntitle: X\n---\nselect *\nfrom clean.order\n",
                said: &[
                    "models/extra.sql:5:6: error: there is no table `clean.order` | did you mean `clean.orders`?",
                ],
            },
            Wrong {
                file: "models/extra.sql",
                text: "select *\nfrom mart.shop_orders\n",
                said: &[
                    "models/extra.sql:2:6: error: there is no table `mart.shop_orders` | did you mean `raw.shop_orders`?",
                ],
            },
            Wrong {
                file: "metrics/extra.yaml",
                text: "title: X\ntable: mart.sales\nmeasure: { count: {} }\ntime: day\n",
                said: &[
                    "metrics/extra.yaml:2:8: error: there is no table `mart.sales` | write models/sales.sql",
                ],
            },
            Wrong {
                file: "dashboards/extra.yaml",
                text: "title: X\nfilters: [regio]\nrows:\n  - - kpi: { metric: revenu }\n    - bar: { metric: revenue, by: regions }\n",
                said: &[
                    "dashboards/extra.yaml:2:11: error: no metric on this page has the dimension `regio` | did you mean `region`?",
                    "dashboards/extra.yaml:4:22: error: there is no metric `revenu` | did you mean `revenue`?",
                    "dashboards/extra.yaml:5:35: error: the metric `revenue` has no dimension `regions` | did you mean `region`?",
                ],
            },
            Wrong {
                file: "dashboards/extra.yaml",
                text: "title: X\nrange: 30x\nrows:\n  - - kpi: { metric: revenue, id: a, width: 8 }\n    - kpi: { metric: revenue, id: a, width: 8 }\n",
                said: &[
                    "dashboards/extra.yaml:2:8: error: `30x` is not a range | write for example 7d, 24h, 12M, now/M, last/M or 2026-01-01..2026-02-01",
                    "dashboards/extra.yaml:4:5: error: the tiles of this row are 16 columns wide, a page has 12 | make tiles narrower or move some to another row",
                    "dashboards/extra.yaml:5:35: error: the tile id `a` is taken already (row 1, column 1) | ids are unique on a page",
                ],
            },
        ],
    );
}

#[test]
fn file_names_and_folders_are_checked() {
    let folder = Folder::new("files");
    folder.write("metrics/Total Sales.yaml", "title: X\n");
    folder.write("metrics/second.yml", "title: X\n");
    folder.write("rule/x.yaml", "title: X\n");
    folder.write("dashboards/old/x.yaml", "title: X\n");
    folder.write("models/a/orders.sql", "select 1 as id\n");
    folder.write("metrics/.hidden.yaml", "not: ours\n");
    folder.write("metrics/backup.yaml~", "not: ours\n");
    fs::write(folder.0.join("rules/broken.yaml"), b"title: \xd6\xd0\n").unwrap();
    let said = folder.findings();
    let expected = [
        "dashboards/old:1:1: warning: folders in here are not read | move the files up into `dashboards/`",
        "metrics/Total Sales.yaml:1:1: error: `Total Sales` cannot name a metric | the file name is the name: lower-case letters, digits and _, starting with a letter, such as `total_sales.yaml`",
        "metrics/second.yml:1:1: error: a file with this ending is not read here | rename it to `second.yaml`",
        "models/orders.sql:1:1: error: the name `orders` is taken already by models/a/orders.sql | names of models are unique over all folders: rename one",
        "rule:1:1: warning: this folder is not read | did you mean `rules/`?",
        "rules/broken.yaml:1:8: error: the file is not written in UTF-8 from here on | save it as UTF-8 in your editor",
    ];
    let about_files: Vec<&String> = said.iter().filter(|s| expected.contains(&s.as_str())).collect();
    assert_eq!(about_files.len(), expected.len(), "{said:#?}");
}

#[test]
fn a_folder_without_configuration_is_no_project() {
    let folder = Folder::new("bare");
    folder.remove("guanlan.yaml");
    let unusable = folder.loader().load().unwrap_err();
    assert!(
        unusable.to_string().starts_with("guanlan.yaml:1:1: error: this folder is no project"),
        "{unusable}"
    );
    let nowhere = Loader::new(folder.0.join("nowhere"), Arc::new(SystemClock)).load().unwrap_err();
    assert!(nowhere.to_string().contains("cannot be read"), "{nowhere}");
}

#[test]
fn circles_are_told_with_their_files() {
    let folder = Folder::new("circle");
    folder.write("models/a.sql", "select *\nfrom mart.b\n");
    folder.write("models/b.sql", "select * from mart.c\n");
    folder.write("models/c.sql", "select * from mart.a\n");
    let said = folder.findings();
    assert_eq!(
        said,
        [
            "models/a.sql:2:6: error: these definitions need each other in a circle: models/a.sql → models/b.sql → models/c.sql → models/a.sql | cut it: move what both need into a definition of its own"
        ]
    );
}

#[test]
fn columns_are_followed_from_cleaning_to_metric() {
    check_all(
        "columns",
        &[
            Wrong {
                file: "models/orders.sql",
                text: "---\ntitle: X\n---\nselect id, ordered_on, region, amount\nfrom clean.orders\nwhere statu = 'paid'\n",
                said: &["models/orders.sql:6:7: error: there is no column `statu` | did you mean `status`?"],
            },
            Wrong {
                file: "models/orders.sql",
                text: "---\ntitle: X\nchecks:\n  - not_null: [ids]\n---\nselect id, ordered_on, region, amount from clean.orders\n",
                said: &["models/orders.sql:4:16: error: the SELECT has no column `ids` | did you mean `id`?"],
            },
            Wrong {
                file: "models/extra.sql",
                text: "select id,\n       amount,\nfrom clean.orders where\n",
                said: &["models/extra.sql:3:24: error: Expected: an expression, found: EOF"],
            },
            Wrong {
                file: "models/extra.sql",
                text: "select id, working_hours(ordered_on, now()) as took, local_hour(ordered_on) as hour\nfrom clean.orders where is_workday(ordered_on) and ordered_on < today()\n",
                said: &[],
            },
            Wrong {
                file: "rules/extra.yaml",
                text: "title: X\nwhen:\n  rows:\n    sql: |\n      select id\n      from mart.order\n    key: [id]\nevery: 5m\nseverity: info\nannotations: { zh: { summary: x }, en: { summary: x } }\nnotify: [opps]\n",
                said: &[
                    "rules/extra.yaml:6:12: error: there is no table `mart.order` | did you mean `mart.orders`?",
                    "rules/extra.yaml:11:10: error: there is no channel `opps` | add `channels: { opps: { webhook: { url: …, secret: … } } }` to guanlan.yaml",
                ],
            },
            Wrong {
                file: "metrics/revenue.yaml",
                text: "title: X\ntable: mart.orders\nmeasure: { sum: { column: amounts } }\ntime: ordered_on\ndimensions: { region: Region }\n",
                said: &[
                    "metrics/revenue.yaml:3:27: error: the table has no column `amounts` | did you mean `amount`?",
                ],
            },
        ],
    );
}

#[test]
fn a_catalogue_tells_the_columns_of_raw_tables() {
    let folder = Folder::new("catalogue");
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let columns = ["订单号", "下单日期", "地区", "金额", "状态_"].map(text);
    let table = "raw.shop_orders".parse().unwrap();
    let mut loader = folder.loader();
    loader.know(Catalogue::new([(table, Arc::new(Schema::new(columns.to_vec())))]));
    let said = shown(&loader.load().unwrap().findings);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert_eq!(
        said[0],
        "cleans/orders.yaml:10:23: error: the raw table has no column `状态` | did you mean `状态_`?"
    );
}

#[test]
fn a_broken_file_keeps_its_last_good_version_and_stops_nobody() {
    let folder = Folder::new("held");
    let mut loader = folder.loader();
    let first = loader.load().unwrap();
    assert!(first.is_good() && first.held.is_empty(), "{}", first.render());
    folder.write("rules/order_slump.yaml", "title: [\n");
    folder.write("dashboards/overview.yaml", "title: Renamed\nrows:\n  - - kpi: { metric: revenue }\n");
    let second = loader.load().unwrap();
    assert_eq!(second.findings.len(), 1, "{}", second.render());
    assert_eq!(second.findings[0].file, "rules/order_slump.yaml");
    let project = &second.project;
    assert_eq!(project.dashboards["overview"].title.en, "Renamed", "other files go on");
    assert!(project.text(Kind::Rule, "order_slump").unwrap().contains("Order slump"), "last good version");
    assert_eq!(second.held.keys().map(Place::to_string).collect::<Vec<_>>(), ["rule order_slump"]);
    assert_ne!(project.revision, first.project.revision);
}

#[test]
fn what_depends_on_a_broken_file_stays_as_it_was() {
    let folder = Folder::new("dependants");
    let mut loader = folder.loader();
    let first = loader.load().unwrap();
    // The metric is renamed in a way that cannot be read; the dashboard uses the new dimension already.
    folder.write("metrics/revenue.yaml", "title: [\n");
    let page = "title: New\nfilters: [channel]\nrows:\n  - - bar: { metric: revenue, by: channel }\n";
    folder.write("dashboards/overview.yaml", page);
    let second = loader.load().unwrap();
    assert_eq!(second.project.revision, first.project.revision, "nothing that is served changed");
    assert_eq!(second.held.len(), 2, "{:?}", second.held);
    assert!(second.findings.iter().any(|f| f.file == "metrics/revenue.yaml" && f.is_error()));
    assert_eq!(second.problem(Kind::Dashboard, "overview").unwrap().file, "dashboards/overview.yaml");
    // Corrected, both are served.
    let metric = "title: R\ntable: mart.orders\nmeasure: { sum: { column: amount } }\ntime: ordered_on\ndimensions: { region: Region, id: Id }\n";
    folder.write("metrics/revenue.yaml", metric);
    folder.write("dashboards/overview.yaml", &page.replace("channel", "id"));
    let third = loader.load().unwrap();
    assert!(third.held.is_empty() && third.is_good(), "{}", third.render());
    assert_eq!(third.project.dashboards["overview"].title.en, "New");
}

#[test]
fn a_deleted_definition_that_is_still_needed_stays() {
    let folder = Folder::new("deleted");
    let mut loader = folder.loader();
    loader.load().unwrap();
    folder.remove("metrics/orders.yaml");
    let second = loader.load().unwrap();
    assert!(second.project.metrics.contains_key("orders"), "the dashboard still shows it");
    let said = shown(&second.findings);
    assert!(
        said.iter()
            .any(|s| s.starts_with("dashboards/overview.yaml:") && s.contains("there is no metric `orders`")),
        "{said:#?}"
    );
}

#[test]
fn at_first_start_only_the_cause_is_an_error() {
    let folder = Folder::new("first");
    folder.write("metrics/revenue.yaml", "title: [\n");
    let loaded = folder.loader().load().unwrap();
    assert_eq!(loaded.findings.len(), 1, "{}", loaded.render());
    assert_eq!(loaded.findings[0].file, "metrics/revenue.yaml");
    let tiles: Vec<&Tile> = loaded.project.dashboards["overview"].rows.iter().flatten().collect();
    let broken: Vec<&Tile> = tiles.iter().copied().filter(|tile| matches!(tile, Tile::Broken(_))).collect();
    assert!(!broken.is_empty() && broken.len() < tiles.len(), "the good tiles are served");
    for tile in broken {
        let Tile::Broken(tile) = tile else { continue };
        assert!(
            tile.detail.starts_with("metrics/revenue.yaml:"),
            "the tile tells the cause: {}",
            tile.detail
        );
    }
    let cause = loaded.problem(Kind::Dashboard, "overview").unwrap();
    assert_eq!(cause.file, "metrics/revenue.yaml", "the dashboard waits for its metric");
    assert!(loaded.problem(Kind::Metric, "orders").is_none());
    assert!(loaded.project.metrics.contains_key("orders"), "others are served");
}

#[test]
fn a_plan_names_what_stands_downstream() {
    let folder = Folder::new("plan");
    let mut loader = folder.loader();
    let first = loader.load().unwrap();
    assert_eq!(first.plan.added.len(), 8, "everything is new: {}", first.plan);
    let clean = fs::read_to_string(folder.0.join("cleans/orders.yaml")).unwrap();
    folder.write("cleans/orders.yaml", &clean.replace("en: Orders", "en: Sales"));
    let second = loader.load().unwrap();
    let expected = "~ cleaning orders\n> model orders\n> metric orders\n> metric revenue\n> dashboard overview\n> rule order_slump";
    assert_eq!(second.plan.to_string(), expected);
    assert_eq!(plan(Some(&second.project), &second.project).to_string(), "nothing changes");
    let json = serde_json::to_value(&second.plan).unwrap();
    assert_eq!(json["changed"][0], "cleaning orders");
}

#[tokio::test]
async fn a_running_watcher_sees_a_change_within_two_seconds() {
    let folder = Folder::new("watch");
    let mut loader = folder.loader();
    let first = loader.load().unwrap();
    let mut states = Box::pin(watch(loader));
    let writer = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        folder.write("dashboards/second.yaml", "title: Second\nrows:\n  - - kpi: { metric: revenue }\n");
    };
    let started = Instant::now();
    let (_, next) = tokio::join!(writer, states.next());
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let next = next.unwrap().unwrap();
    assert!(next.project.dashboards.contains_key("second"));
    assert_ne!(next.project.revision, first.project.revision);
}

#[test]
fn the_simulated_companys_project_is_valid() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/project");
    let loaded = Loader::new(dir, Arc::new(SystemClock)).load().unwrap_or_else(|e| panic!("{e}"));
    assert!(loaded.findings.is_empty(), "{}", loaded.render());
    assert!(loaded.project.models.len() > 5 && loaded.project.rules.len() >= 12);
}

#[test]
fn a_thousand_files_are_checked_quickly() {
    let folder = Folder::new("thousand");
    for n in 0..330 {
        let model = format!(
            "---\ntitle: M{n}\n---\nselect id, ordered_on, region, amount * {n} as amount\nfrom mart.orders\n"
        );
        folder.write(&format!("models/m{n}.sql"), &model);
        let metric = format!(
            "title: N{n}\ntable: mart.m{n}\nmeasure: {{ sum: {{ column: amount }} }}\ntime: ordered_on\ndimensions: {{ region: Region }}\n"
        );
        folder.write(&format!("metrics/n{n}.yaml"), &metric);
        let page = format!("title: P{n}\nrows:\n  - - line: {{ metric: n{n}, by: region }}\n");
        folder.write(&format!("dashboards/p{n}.yaml"), &page);
    }
    let mut loader = folder.loader();
    let started = Instant::now();
    let loaded = loader.load().unwrap();
    let cold = started.elapsed();
    assert!(loaded.findings.is_empty(), "{}", loaded.render());
    assert_eq!(loaded.project.models.len(), 331);
    let started = Instant::now();
    loader.load().unwrap();
    let warm = started.elapsed();
    eprintln!("1,000 files: {cold:?} cold, {warm:?} warm");
    // The budget of one second holds for a release build; this build is lightly optimized.
    assert!(cold < Duration::from_secs(10), "{cold:?}");
    assert!(warm < Duration::from_secs(2), "{warm:?}");
}

#[test]
fn every_kind_of_file_has_a_schema_that_refuses_unknown_keys() {
    let schemas = schemas();
    assert_eq!(schemas.len(), 8);
    for (name, schema) in schemas {
        assert!(name.ends_with(".schema.json"));
        assert_eq!(schema["additionalProperties"], false, "{name}");
        assert!(schema["properties"].as_object().is_some_and(|p| !p.is_empty()), "{name}");
    }
}

#[tokio::test]
async fn a_check_knows_the_functions_that_a_running_warehouse_has() {
    let folder = Folder::new("functions");
    let objects = store::Objects::open(&store::StoreSpec::Local { path: "data".into() }, &folder.0).unwrap();
    let db = store::Metadata::memory().await.unwrap();
    let clock = Arc::new(SystemClock);
    let warehouse =
        warehouse::Warehouse::open(objects, db, clock, warehouse::Settings::default()).await.unwrap();
    let real = warehouse.context().state();
    let ours = planner::context(Vec::new()).unwrap().state();
    let names = |state: &datafusion::execution::session_state::SessionState| {
        state.scalar_functions().keys().cloned().collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names(&real), names(&ours));
    for (name, _, arguments, _) in &planner::FUNCTIONS {
        let given = vec![DataType::Date32; *arguments];
        let returns = |state: &datafusion::execution::session_state::SessionState| {
            state.scalar_functions()[*name].return_type(&given).unwrap()
        };
        assert_eq!(returns(&real), returns(&ours), "{name}");
    }
}

#[test]
fn settings_are_shown_with_their_defaults_and_without_secrets() {
    let folder = Folder::new("show");
    folder.write(
        "guanlan.yaml",
        "site: { name: X }\nchannels:\n  ops: { webhook: { url: \"http://127.0.0.1:9/h\", secret: \"env:NEVER_SET_SECRET\" } }\n",
    );
    let loaded = folder.loader().load().unwrap();
    let text = loaded.project.config.show();
    let shown: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(shown["site"]["timezone"], "Asia/Shanghai");
    assert_eq!(shown["listen"], "127.0.0.1:8080");
    assert_eq!(shown["query"]["timeout"], "1m");
    assert_eq!(shown["channels"]["ops"]["webhook"]["secret"], "env:NEVER_SET_SECRET");
    assert!(text.contains("secret: \"env:NEVER_SET_SECRET\"\n"), "{text}");
    assert!(
        serde_saphyr::from_str::<crate::config::Config>(&text).is_ok(),
        "what is shown can be used: {text}"
    );
}

#[test]
fn a_restart_over_a_mistake_serves_the_last_good_version() {
    let folder = Folder::new("restart");
    let first = folder.loader().load().unwrap();
    remember(&first.project).unwrap();
    folder.write("models/orders.sql", "---\ntitle: O\n---\nselect id from clean.ordres\n");
    let second = folder.loader().load().unwrap();
    assert!(!second.is_good());
    assert_eq!(second.project.models["orders"].sql, first.project.models["orders"].sql);
    assert_eq!(second.project.dashboards.len(), first.project.dashboards.len(), "what reads it goes on");
    assert!(second.plan.is_empty(), "nothing that is served changes: {}", second.plan);
}

#[test]
fn the_plan_compares_with_what_was_served_last() {
    let folder = Folder::new("baseline");
    remember(&folder.loader().load().unwrap().project).unwrap();
    folder.write("dashboards/overview.yaml", "title: Renamed\nrows:\n  - - kpi: { metric: revenue }\n");
    let plan = folder.loader().load().unwrap().plan;
    assert_eq!(plan.to_string(), "~ dashboard overview");
}

#[test]
fn at_first_start_the_good_tiles_are_served_and_the_bad_one_says_what_is_wrong() {
    let folder = Folder::new("tiles");
    let page = "title: Page\nfilters: [nothing]\nrows:\n  - - kpi: { metric: orders, id: good }\n    - kpi: { metrc: orders, width: 4 }\n  - - bar: { metric: orders, by: nowhere, title: Bars }\n    - line: { metric: gone }\n    - pie: { metric: orders }\n";
    folder.write("dashboards/page.yaml", page);
    let mut loader = folder.loader();
    let loaded = loader.load().unwrap();
    let said = shown(&loaded.findings);
    assert!(
        said.iter().any(|s| s.starts_with("dashboards/page.yaml:5:") && s.contains("unknown key `metrc`")),
        "{said:#?}"
    );
    assert!(
        said.iter().any(|s| s.starts_with("dashboards/page.yaml:8:7: error: unknown variant `pie`")),
        "{said:#?}"
    );
    let served = &loaded.project.dashboards["page"];
    let kinds = |page: &dashboards::DashboardSpec| -> Vec<String> {
        let told = |tile: &Tile| match tile {
            Tile::Broken(tile) => tile.detail.clone(),
            tile => tile.kind().to_owned(),
        };
        page.rows.iter().flatten().map(told).collect()
    };
    let tiles = kinds(served);
    assert_eq!(tiles[0], "kpi");
    for (tile, part) in
        tiles[1..].iter().zip(["`metrc`", "no dimension `nowhere`", "no metric `gone`", "`pie`"])
    {
        assert!(tile.starts_with("dashboards/page.yaml:") && tile.contains(part), "{tile}");
    }
    assert!(served.filters.is_empty(), "a filter that no metric has is left out");
    assert!(loaded.problem(Kind::Dashboard, "page").is_some() && !loaded.is_good());
    // The same after a restart, and another mistake shows another good part.
    remember(&loaded.project).unwrap();
    let again = folder.loader().load().unwrap();
    assert_eq!(kinds(&again.project.dashboards["page"]), tiles);
    folder.write(
        "dashboards/page.yaml",
        "title: Page\nrows:\n  - - kpi: { metric: gone }\n    - kpi: { metric: orders }\n",
    );
    let other = loader.load().unwrap();
    assert_eq!(kinds(&other.project.dashboards["page"])[1], "kpi");
    // Once it was good, a mistake leaves the whole page as it was.
    folder.write("dashboards/page.yaml", "title: Good\nrows:\n  - - kpi: { metric: orders }\n");
    assert!(loader.load().unwrap().is_good());
    folder.write("dashboards/page.yaml", page);
    assert_eq!(loader.load().unwrap().project.dashboards["page"].title.en, "Good");
    // A page whose fault lies elsewhere is not served.
    folder.write("dashboards/other.yaml", "title: Other\nrange: 7x\nrows:\n  - - kpi: { metric: orders }\n");
    assert!(!loader.load().unwrap().project.dashboards.contains_key("other"));
}

#[test]
fn a_finding_is_not_hidden_by_a_broken_file_whose_name_it_holds() {
    let folder = Folder::new("hidden");
    folder.write(
        "metrics/plain.yaml",
        "title: Plain\ntable: mart.orders\nmeasure: { count: {} }\ntime: ordered_on\n",
    );
    folder
        .write("dashboards/second.yaml", "title: Second\nrows:\n  - - bar: { metric: plain, by: region }\n");
    let said = |part: &str| folder.findings().iter().filter(|s| s.contains(part)).count();
    assert_eq!(said("no dimension `region`"), 1);
    folder.write("metrics/region.yaml", "title: Region\nmesure: { count: {} }\n");
    assert_eq!((said("no dimension `region`"), said("`mesure`")), (1, 1));
    // What only follows from the broken file is still not told twice.
    folder.write("dashboards/third.yaml", "title: Third\nrows:\n  - - kpi: { metric: region }\n");
    assert_eq!(said("there is no metric `region`"), 0);
}

#[test]
fn a_formula_without_end_is_refused_and_the_last_good_version_holds() {
    let folder = Folder::new("deep");
    let formula = |terms: usize| {
        let expression = vec!["a"; terms].join("+");
        format!(
            "title: x\nmeasure: {{ derived: {{ metrics: {{a: revenue}}, expression: \"{expression}\" }} }}\nunit: count\n"
        )
    };
    folder.write("metrics/deep.yaml", &formula(2));
    let mut loader = folder.loader();
    let first = loader.load().unwrap();
    assert!(first.is_good(), "{}", first.render());
    remember(&first.project).unwrap();
    for text in [
        formula(200_000),
        format!(
            "title: x\nmeasure: {{ derived: {{ metrics: {{a: revenue}}, expression: \"{}\" }} }}\n",
            "(".repeat(100_000)
        ),
        format!(
            "title: x\ntable: mart.orders\ntime: ordered_on\nmeasure: {{ count: {{ where: \"{}\" }} }}\n",
            vec!["amount"; 100_000].join("+")
        ),
        format!("title: {}x{}\n", "[".repeat(50_000), "]".repeat(50_000)),
        formula(1_000_000),
    ] {
        folder.write("metrics/deep.yaml", &text);
        for loaded in [loader.load().unwrap(), folder.loader().load().unwrap()] {
            assert!(
                loaded.findings.iter().any(|f| f.file == "metrics/deep.yaml" && f.is_error()),
                "{}",
                text.len()
            );
            assert!(loaded.findings.iter().all(|f| f.message.len() < 600));
            assert_eq!(loaded.project.metrics["deep"], first.project.metrics["deep"]);
        }
    }
}

#[cfg(unix)]
#[test]
fn nothing_outside_of_the_project_is_read() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new("links");
    let mut loader = folder.loader();
    let first = loader.load().unwrap();
    remember(&first.project).unwrap();
    let outside = std::env::temp_dir().join(format!("guanlan-outside-{}", std::process::id()));
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("secret.sql"), "select 'a secret'").unwrap();
    let dir = &folder.0;
    symlink(outside.join("secret.sql"), dir.join("models/secret.sql")).unwrap();
    symlink(&outside, dir.join("models/more")).unwrap();
    symlink(&outside, dir.join("metrics/more")).unwrap();
    symlink("/dev/zero", dir.join("dashboards/zero.yaml")).unwrap();
    // A good definition that becomes a link keeps its last good version.
    fs::rename(dir.join("metrics/revenue.yaml"), outside.join("revenue.yaml")).unwrap();
    symlink(outside.join("revenue.yaml"), dir.join("metrics/revenue.yaml")).unwrap();
    // So does what stands in a folder that becomes a link.
    fs::rename(dir.join("rules"), outside.join("rules")).unwrap();
    symlink(outside.join("rules"), dir.join("rules")).unwrap();
    for loaded in [loader.load().unwrap(), folder.loader().load().unwrap()] {
        for file in [
            "models/secret.sql",
            "models/more",
            "metrics/more",
            "dashboards/zero.yaml",
            "metrics/revenue.yaml",
            "rules",
        ] {
            let found = loaded.findings.iter().find(|f| f.file == file);
            assert!(
                found.is_some_and(|f| f.is_error() && f.message.contains("link")),
                "{file}: {}",
                loaded.render()
            );
        }
        assert!(!loaded.render().contains("a secret"));
        assert_eq!(loaded.project.revision, first.project.revision, "what is served stays");
    }
    // A pipe would wait for ever, a device has no end.
    let made = std::process::Command::new("mkfifo").arg(dir.join("dashboards/pipe.yaml")).status();
    if made.is_ok_and(|status| status.success()) {
        let said = folder.findings();
        assert!(
            said.iter().any(|s| s.contains("dashboards/pipe.yaml") && s.contains("regular file")),
            "{said:#?}"
        );
    }
    let _ = fs::remove_dir_all(&outside);
}

#[test]
fn a_table_knows_who_uses_it() {
    let folder = Folder::new("uses");
    folder.write(
        "metrics/both.yaml",
        "title: Both\nmeasure: { derived: { expression: a, metrics: { a: revenue } } }\n",
    );
    let project = folder.loader().load().unwrap().project;
    let shown = |table: &str| -> Vec<String> {
        let uses = project.uses(&table.parse().unwrap());
        uses.iter()
            .map(|u| format!("{} {}{}", u.kind, u.name, if u.direct { "" } else { " (through others)" }))
            .collect()
    };
    assert_eq!(
        shown("mart.orders"),
        [
            "metric both (through others)",
            "metric orders",
            "metric revenue",
            "dashboard overview (through others)",
            "rule order_slump (through others)"
        ]
    );
    assert!(shown("clean.orders").is_empty(), "what stands on the model uses the model");
}
