use std::ops::Range;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult,
};

use super::*;
use crate::Error;

/// What happens to the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The store says AlreadyExists although this very PUT was applied (its first try met a 5xx).
    OwnAlreadyExists,
    /// The answer got lost, the commit did not.
    ErrorAfterApply,
    /// Nothing was applied.
    ErrorBefore,
    /// Someone else commits the version a moment earlier.
    Rival,
    /// Nothing is applied, and the log cannot be read back either.
    Dark,
}

#[derive(Debug, Default)]
struct FaultStore {
    inner: InMemory,
    next: Mutex<Option<Fault>>,
    dark: Mutex<bool>,
}

impl FaultStore {
    fn arm(&self, fault: Fault) {
        *self.next.lock().unwrap() = Some(fault);
    }

    fn down() -> StoreError {
        StoreError::Generic { store: "fault", source: "503 slow down".into() }
    }
}

impl std::fmt::Display for FaultStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FaultStore")
    }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> StoreResult<PutResult> {
        let commit = location.as_ref().ends_with(".json");
        let fault = if commit { self.next.lock().unwrap().take() } else { None };
        let exists = || StoreError::AlreadyExists { path: location.to_string(), source: "412".into() };
        match fault {
            None => self.inner.put_opts(location, payload, opts).await,
            Some(Fault::OwnAlreadyExists) => {
                self.inner.put_opts(location, payload, opts).await?;
                Err(exists())
            }
            Some(Fault::ErrorAfterApply) => {
                self.inner.put_opts(location, payload, opts).await?;
                Err(Self::down())
            }
            Some(Fault::ErrorBefore) => Err(Self::down()),
            Some(Fault::Rival) => {
                let rival = r#"{"commitInfo":{"timestamp":1,"operation":"OPTIMIZE"}}"#;
                self.inner.put(location, rival.into()).await?;
                self.inner.put_opts(location, payload, opts).await
            }
            Some(Fault::Dark) => {
                *self.dark.lock().unwrap() = true;
                Err(Self::down())
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        if *self.dark.lock().unwrap() {
            return Err(Self::down());
        }
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

async fn faulty() -> (House, Arc<FaultStore>) {
    let store = Arc::new(FaultStore::default());
    let house = House::on(store.clone(), settings()).await;
    house.land("raw.orders", vec![orders(&[(1, 1)])], Landing::Append, 1).await.unwrap();
    (house, store)
}

#[tokio::test]
async fn a_commit_of_ours_that_the_store_calls_existing_is_not_written_twice() {
    for fault in [Fault::OwnAlreadyExists, Fault::ErrorAfterApply] {
        let (house, store) = faulty().await;
        store.arm(fault);
        let landed = house.land("raw.orders", vec![orders(&[(2, 2)])], Landing::Append, 2).await.unwrap();
        assert_eq!((landed.version, landed.already), (1, false), "{fault:?}");
        house.land("raw.orders", vec![orders(&[(3, 3)])], Landing::Append, 3).await.unwrap();
        assert_eq!(house.lines("select id from raw.orders order by id").await, ["1", "2", "3"], "{fault:?}");
        let again = lines_of(&house.reopened().await, "select count(*) from raw.orders").await.unwrap();
        assert_eq!(again, ["3"], "{fault:?}");
    }
}

#[tokio::test]
async fn a_failed_commit_can_be_repeated_with_the_same_seq() {
    for fault in [Fault::ErrorBefore, Fault::Dark] {
        let (house, store) = faulty().await;
        store.arm(fault);
        let error = house.land("raw.orders", vec![orders(&[(2, 2)])], Landing::Append, 2).await.unwrap_err();
        assert!(matches!(error, Error::Store { .. }), "{fault:?}: {error}");
        *store.dark.lock().unwrap() = false;
        assert_eq!(house.lines("select id from raw.orders").await, ["1"], "{fault:?}");
        let landed = house.land("raw.orders", vec![orders(&[(2, 2)])], Landing::Append, 2).await.unwrap();
        assert!(!landed.already);
        assert_eq!(house.lines("select id from raw.orders order by id").await, ["1", "2"], "{fault:?}");
    }
}

#[tokio::test]
async fn a_version_that_a_rival_took_is_followed_and_the_next_one_is_tried() {
    for how in [Landing::Append, Landing::Upsert { keys: vec!["id".into()] }] {
        let (house, store) = faulty().await;
        store.arm(Fault::Rival);
        let landed =
            house.land("raw.orders", vec![orders(&[(1, 9), (2, 2), (2, 4)])], how.clone(), 2).await.unwrap();
        assert_eq!(landed.version, 2);
        let expected = if how == Landing::Append { ["4,16"] } else { ["2,13"] };
        assert_eq!(house.lines("select count(*), sum(amount) from raw.orders").await, expected);
        let again =
            lines_of(&house.reopened().await, "select count(*), sum(amount) from raw.orders").await.unwrap();
        assert_eq!(again, expected);
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_said_to_be_so() {
    let (house, store) = faulty().await;
    house.clock.advance(Duration::from_secs(5));
    *store.dark.lock().unwrap() = true;
    let error = lines_of(&house.warehouse, "select * from raw.orders").await.unwrap_err();
    assert!(matches!(error, Error::Store { .. }), "{error}");
}

/// Every landing that writes files again or finds nothing new, each with every fault and then once more.
#[tokio::test]
async fn landings_that_replace_survive_every_fault() {
    let since = || Landing::Interval {
        column: "amount".into(),
        since: crate::Start::Micros(50),
        keys: vec!["id".into()],
    };
    let rows: Vec<(i64, i64)> = (0..400).map(|id| (id, id)).collect();
    for fault in
        [Fault::OwnAlreadyExists, Fault::ErrorAfterApply, Fault::ErrorBefore, Fault::Rival, Fault::Dark]
    {
        let (house, store) = faulty().await;
        house.land("raw.orders", vec![orders(&rows)], Landing::Replace, 2).await.unwrap();
        let mut changed = rows.clone();
        changed[7].1 = -7;
        let steps: [(Landing, Vec<(i64, i64)>); 3] = [
            (Landing::Upsert { keys: vec!["id".into()] }, changed[..20].to_vec()),
            (Landing::Replace, changed.clone()),
            (Landing::Upsert { keys: vec!["id".into()] }, vec![(399, 0), (400, 1)]),
        ];
        for (n, (how, given)) in steps.into_iter().enumerate() {
            let seq = n as i64 + 3;
            store.arm(fault);
            let first = house.land("raw.orders", vec![orders(&given)], how.clone(), seq).await;
            *store.dark.lock().unwrap() = false;
            *store.next.lock().unwrap() = None;
            if first.is_err() {
                house.land("raw.orders", vec![orders(&given)], how, seq).await.unwrap();
            }
            assert_eq!(
                house.warehouse.mark(&name("raw.orders"), "source/orders").await.unwrap(),
                Some(mark(seq))
            );
        }
        let sum: i64 = changed[..399].iter().map(|r| r.1).sum::<i64>() + 1;
        let sql = "select count(*), count(distinct id), sum(amount) from raw.orders";
        let expected = [format!("401,401,{sum}")];
        assert_eq!(house.lines(sql).await, expected, "{fault:?}");
        assert_eq!(lines_of(&house.reopened().await, sql).await.unwrap(), expected, "{fault:?}");
    }
    // An interval needs a moment: whole numbers are refused before anything is written.
    let (house, _) = faulty().await;
    assert!(house.land("raw.orders", vec![orders(&rows)], since(), 2).await.is_err());
}

/// A rival that takes the version while equal rows were left out: they are looked at anew.
#[tokio::test]
async fn rows_left_out_as_equal_come_back_when_someone_else_changed_the_table() {
    let (house, store) = faulty().await;
    let by_id = || Landing::Upsert { keys: vec!["id".into()] };
    store.arm(Fault::Rival);
    let landed = house.land("raw.orders", vec![orders(&[(1, 1), (2, 2)])], by_id(), 2).await.unwrap();
    assert_eq!((landed.version, landed.unchanged, landed.rows), (2, false, 2));
    assert_eq!(house.lines("select id, amount from raw.orders order by id").await, ["1,1", "2,2"]);
}
