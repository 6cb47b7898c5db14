use super::*;
use crate::project::Loader;

#[test]
fn the_starter_project_is_valid() {
    let folder = tempfile("valid");
    let dir = folder.join("mycompany");
    let written = init(&dir, "我的 \"公司\"").unwrap();
    assert_eq!(written.len(), TEMPLATE.len());
    let clock = std::sync::Arc::new(store::SystemClock);
    let loaded = Loader::new(&dir, clock).load().unwrap_or_else(|e| panic!("{e}"));
    assert!(loaded.findings.is_empty(), "{}", loaded.render());
    let project = &loaded.project;
    assert_eq!(project.config.site.name.zh, "我的 \"公司\"");
    assert_eq!(project.metrics.len(), 2);
    assert!(project.rules.contains_key("order_slump"));
    assert!(fs::read_to_string(dir.join(".gitignore")).unwrap().contains("/.guanlan/"));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let dir = tempfile("full");
    fs::write(dir.join("mine.txt"), "precious").unwrap();
    let error = init(&dir, "x").unwrap_err();
    assert!(matches!(&error, Error::NotEmpty { found, .. } if found == "mine.txt"), "{error}");
    assert!(error.to_string().contains("choose a new folder"));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn an_empty_or_freshly_cloned_folder_will_do_and_a_file_will_not() {
    let dir = tempfile("git");
    fs::create_dir(dir.join(".git")).unwrap();
    init(&dir, "x").unwrap();
    let error = init(&dir.join("guanlan.yaml"), "x").unwrap_err();
    assert!(matches!(error, Error::NotAFolder { .. }), "{error}");
    assert!(matches!(init(&dir.join("new"), "  ").unwrap_err(), Error::NoName));
    fs::remove_dir_all(dir).unwrap();
}

fn tempfile(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("guanlan-init-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}
