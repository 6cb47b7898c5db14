use super::*;
use futures::TryStreamExt;
use object_store::path::Path as Location;
use object_store::{ObjectStoreExt, PutMode, PutPayload, WriteMultipart};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("guanlan-objects-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn open(&self) -> Objects {
        Objects::open(&StoreSpec::Local { path: "data".into() }, &self.0).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn listed(store: &dyn ObjectStore) -> Vec<String> {
    let mut names: Vec<String> =
        store.list(None).map_ok(|m| m.location.to_string()).try_collect().await.unwrap();
    names.sort();
    names
}

#[tokio::test]
async fn every_way_of_writing_can_be_read_back_and_leaves_no_staging_file() {
    let folder = Folder::new("ways");
    let store = folder.open().store();
    let put = store.put(&Location::from("a/b/one"), "1".into()).await.unwrap();
    assert_eq!(put.e_tag, store.head(&Location::from("a/b/one")).await.unwrap().e_tag);
    store.put(&Location::from("a/b/one"), "11".into()).await.unwrap();
    store.put_opts(&Location::from("log/0.json"), "0".into(), PutMode::Create.into()).await.unwrap();
    let upload = store.put_multipart(&Location::from("parts/x")).await.unwrap();
    let mut writer = WriteMultipart::new_with_chunk_size(upload, 4);
    writer.write(b"0123456789");
    writer.finish().await.unwrap();
    store.copy(&Location::from("a/b/one"), &Location::from("c/copy")).await.unwrap();
    store.rename(&Location::from("c/copy"), &Location::from("d/moved")).await.unwrap();
    assert_eq!(listed(&*store).await, ["a/b/one", "d/moved", "log/0.json", "parts/x"]);
    for (name, text) in [("a/b/one", "11"), ("parts/x", "0123456789"), ("d/moved", "11")] {
        let read = store.get(&Location::from(name)).await.unwrap().bytes().await.unwrap();
        assert_eq!(read, text.as_bytes(), "{name}");
    }
    let files: Vec<_> = std::fs::read_dir(folder.0.join("data/parts")).unwrap().collect();
    assert_eq!(files.len(), 1);
}

#[tokio::test]
async fn of_many_creators_of_one_name_exactly_one_wins() {
    let folder = Folder::new("race");
    let store = folder.open().store();
    let tries = (0..16).map(|i| {
        let store = store.clone();
        tokio::spawn(async move {
            let text = PutPayload::from(format!("writer {i}"));
            store.put_opts(&Location::from("log/1.json"), text, PutMode::Create.into()).await
        })
    });
    let results = futures::future::join_all(tries.collect::<Vec<_>>()).await;
    let won = results.iter().filter(|r| r.as_ref().unwrap().is_ok()).count();
    assert_eq!(won, 1);
    for result in results {
        if let Err(error) = result.unwrap() {
            assert!(matches!(error, object_store::Error::AlreadyExists { .. }), "{error}");
        }
    }
    assert_eq!(listed(&*store).await, ["log/1.json"]);
}

#[tokio::test]
async fn an_upload_that_is_dropped_or_aborted_leaves_nothing() {
    let folder = Folder::new("abort");
    let store = folder.open().store();
    let mut upload = store.put_multipart(&Location::from("x/y")).await.unwrap();
    upload.put_part("part".into()).await.unwrap();
    upload.abort().await.unwrap();
    assert!(upload.complete().await.is_err());
    drop(store.put_multipart(&Location::from("x/z")).await.unwrap());
    assert!(listed(&*store).await.is_empty());
    assert_eq!(std::fs::read_dir(folder.0.join("data/x")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_folder_that_vanished_is_made_again() {
    let folder = Folder::new("vanish");
    let store = folder.open().store();
    store.put(&Location::from("t/one"), "1".into()).await.unwrap();
    std::fs::remove_dir_all(folder.0.join("data/t")).unwrap();
    store.put(&Location::from("t/two"), "2".into()).await.unwrap();
    assert_eq!(listed(&*store).await, ["t/two"]);
}

#[tokio::test]
async fn a_file_in_the_way_is_named_with_what_to_do() {
    let folder = Folder::new("way");
    std::fs::write(folder.0.join("data"), "not a folder").unwrap();
    let error = Objects::open(&StoreSpec::Local { path: "data".into() }, &folder.0).unwrap_err().to_string();
    assert!(error.contains("data") && error.contains("in the way"), "{error}");
}

#[test]
fn urls_name_the_store() {
    let folder = Folder::new("url");
    let url = folder.open().url().clone();
    assert!(url.as_str().starts_with("file:///") && url.as_str().ends_with("/data/"), "{url}");
    assert_ne!(Objects::memory().url(), Objects::memory().url());
}

#[test]
fn an_s3_store_opens_with_its_prefix_and_refuses_plain_http_unless_allowed() {
    let folder = Folder::new("s3");
    std::fs::write(folder.0.join("id"), "id\n").unwrap();
    std::fs::write(folder.0.join("key"), "hunter2\n").unwrap();
    let text = r#"{"s3": {"bucket": "lake", "prefix": "guanlan/", "endpoint": "http://127.0.0.1:9000",
        "access_key": "file:id", "secret_key": "file:key", "allow_http": true}}"#;
    let spec: StoreSpec = serde_json::from_str(text).unwrap();
    let objects = Objects::open(&spec, &folder.0).unwrap();
    assert_eq!(objects.url().as_str(), "s3://lake/guanlan/");
    assert!(!format!("{objects:?}{spec:?}").contains("hunter2"));
    let StoreSpec::S3(mut s3) = spec else { panic!("parsed as s3") };
    s3.allow_http = None;
    let error = Objects::open(&StoreSpec::S3(s3.clone()), &folder.0).unwrap_err().to_string();
    assert!(error.contains("allow_http"), "{error}");
    s3.secret_key = None;
    let error = Objects::open(&StoreSpec::S3(s3), &folder.0).unwrap_err().to_string();
    assert!(error.contains("secret_key"), "{error}");
}

#[test]
fn unknown_keys_of_a_store_fail() {
    for text in [
        r#"{"local": {"path": "data", "x": 1}}"#,
        r#"{"s3": {"bucket": "b", "buckett": 1}}"#,
        r#"{"disk": {}}"#,
    ] {
        assert!(serde_json::from_str::<StoreSpec>(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn lists_are_in_name_order_as_on_cloud_stores() {
    let folder = Folder::new("order");
    let store = folder.open().store();
    for n in (0..30).rev() {
        store.put(&Location::from(format!("log/{n:04}.json")), "x".into()).await.unwrap();
    }
    let names: Vec<String> = store.list(None).map_ok(|m| m.location.to_string()).try_collect().await.unwrap();
    assert!(names.is_sorted(), "{names:?}");
    let offset = Location::from("log/0009.json");
    let after: Vec<_> = store.list_with_offset(None, &offset).try_collect().await.unwrap();
    assert_eq!(after.len(), 20);
    assert!(after.is_sorted_by_key(|m| m.location.to_string()));
}
