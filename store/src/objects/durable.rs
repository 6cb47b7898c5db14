//! A local folder whose acknowledged writes survive a power cut.
//!
//! object_store's local store never syncs. Here data is synced under a staging name before the real name
//! appears (so a name never shows torn content), and the folder is synced before the write is
//! acknowledged, with every parent folder up to the root that is new to this process. Reads, lists and
//! deletes go straight to object_store: a deletion that a power cut undoes harms nobody.

use std::collections::HashSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path as FsPath, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryFutureExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

use crate::error::advice;

/// Folders remembered as durable; beyond that they are simply synced again.
const REMEMBERED: usize = 65_536;

#[derive(Debug)]
pub(super) struct DurableLocal {
    inner: LocalFileSystem,
    folders: Arc<Folders>,
}

/// Which folders this process knows to be durable up to the root.
#[derive(Debug)]
struct Folders {
    root: PathBuf,
    durable: Mutex<HashSet<PathBuf>>,
}

impl DurableLocal {
    /// `root` must exist and be canonical.
    pub(super) fn open(root: &FsPath) -> Result<Self> {
        let inner = LocalFileSystem::new_with_prefix(root)?;
        let folders = Folders { root: root.to_owned(), durable: Mutex::new(HashSet::new()) };
        Ok(Self { inner, folders: Arc::new(folders) })
    }
}

impl fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableLocal({})", self.folders.root.display())
    }
}

impl Folders {
    /// Creates the folder of `path` where it is missing and makes it durable up to the root.
    fn prepare(&self, path: &FsPath) -> Result<PathBuf> {
        let folder = path.parent().unwrap_or(&self.root).to_owned();
        if self.known().contains(&folder) && folder.is_dir() {
            return Ok(folder);
        }
        std::fs::create_dir_all(&folder).map_err(|e| failed("create the folder", &folder, e))?;
        // Innermost first or last does not matter: nothing is acknowledged before all are synced.
        let mut at = folder.as_path();
        loop {
            sync_folder(at)?;
            match at.parent() {
                Some(parent) if at != self.root && at.starts_with(&self.root) => at = parent,
                _ => break,
            }
        }
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(folder.clone());
        Ok(folder)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        // A set of paths is consistent whatever panicked.
        self.durable.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A file under a staging name that lists skip (`name#digits`), removed unless it is published.
#[derive(Debug)]
struct Staged {
    file: Arc<File>,
    path: PathBuf,
    published: bool,
}

impl Staged {
    fn create(target: &FsPath) -> Result<Self> {
        // The process id keeps what a killed process left behind out of the way.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let mut name = target.as_os_str().to_owned();
            name.push(format!("#{}{number:09}", std::process::id()));
            let path = PathBuf::from(name);
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { file: Arc::new(file), path, published: false }),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(failed("create", &path, e)),
            }
        }
    }

    /// Syncs the content, gives it its name, syncs the folder.
    fn publish(mut self, target: &FsPath, folder: &FsPath, create: bool) -> Result<PutResult> {
        self.file.sync_all().map_err(|e| failed("sync", &self.path, e))?;
        let meta = self.file.metadata().map_err(|e| failed("read the size of", &self.path, e))?;
        if create {
            // A link fails when the name exists: exactly one of two writers wins. The staging name goes
            // with the drop.
            std::fs::hard_link(&self.path, target).map_err(|e| failed("create", target, e))?;
        } else {
            std::fs::rename(&self.path, target).map_err(|e| failed("replace", target, e))?;
            self.published = true;
        }
        sync_folder(folder)?;
        Ok(PutResult { e_tag: Some(e_tag(&meta)), version: None })
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[async_trait::async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let create = match opts.mode {
            PutMode::Overwrite => false,
            PutMode::Create => true,
            PutMode::Update(_) => return Err(unsupported("put with an expected version", self)),
        };
        if !opts.attributes.is_empty() {
            return Err(unsupported("put with attributes", self));
        }
        let target = self.inner.path_to_filesystem(location)?;
        let folders = self.folders.clone();
        blocking(move || {
            let folder = folders.prepare(&target)?;
            let staged = Staged::create(&target)?;
            let mut file = &*staged.file;
            payload
                .iter()
                .try_for_each(|part| file.write_all(part))
                .map_err(|e| failed("write", &target, e))?;
            staged.publish(&target, &folder, create)
        })
        .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if !opts.attributes.is_empty() {
            return Err(unsupported("multipart put with attributes", self));
        }
        let target = self.inner.path_to_filesystem(location)?;
        let folders = self.folders.clone();
        blocking(move || {
            let folder = folders.prepare(&target)?;
            let staged = Staged::create(&target)?;
            Ok(Box::new(Upload { staged: Some(staged), target, folder, offset: 0 })
                as Box<dyn MultipartUpload>)
        })
        .await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    // A folder lists in no order; readers of table logs rely on the name order that cloud stores keep.
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        in_name_order(self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        in_name_order(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    // The content was synced when it was written, so a copy (a hard link) and a rename only need folders.
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let folder = self.prepare(to).await?;
        self.inner.copy_opts(from, to, options).await?;
        blocking(move || sync_folder(&folder)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let folder = self.prepare(to).await?;
        let source = self.inner.path_to_filesystem(from)?;
        self.inner.rename_opts(from, to, options).await?;
        blocking(move || {
            sync_folder(&folder)?;
            match source.parent() {
                Some(other) if other != folder => sync_folder(other),
                _ => Ok(()),
            }
        })
        .await
    }
}

impl DurableLocal {
    async fn prepare(&self, to: &Path) -> Result<PathBuf> {
        let target = self.inner.path_to_filesystem(to)?;
        let folders = self.folders.clone();
        blocking(move || folders.prepare(&target)).await
    }
}

/// A multipart upload: parts go to their offsets in one staged file.
#[derive(Debug)]
struct Upload {
    staged: Option<Staged>,
    target: PathBuf,
    folder: PathBuf,
    offset: u64,
}

#[async_trait::async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let mut offset = self.offset;
        self.offset += data.content_length() as u64;
        let file = self.staged.as_ref().map(|s| s.file.clone());
        let target = self.target.clone();
        Box::pin(async move {
            let file = file.ok_or_else(|| ended(&target))?;
            blocking(move || {
                for part in data.iter() {
                    file.write_all_at(part, offset).map_err(|e| failed("write", &target, e))?;
                    offset += part.len() as u64;
                }
                Ok(())
            })
            .await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let staged = self.staged.take().ok_or_else(|| ended(&self.target))?;
        let (target, folder) = (self.target.clone(), self.folder.clone());
        blocking(move || staged.publish(&target, &folder, false)).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.staged.take().map(drop).ok_or_else(|| ended(&self.target))
    }
}

/// Writes, syncs and removes a small file: the folder is writable, or the error says why not.
pub(super) fn try_writing(root: &FsPath) -> std::io::Result<()> {
    let path = root.join(format!(".guanlan-probe#{}", std::process::id()));
    let written =
        File::create(&path).and_then(|mut file| file.write_all(b"ok").and_then(|()| file.sync_all()));
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

fn sync_folder(folder: &FsPath) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| failed("sync the folder", folder, e))
}

/// The same tag that object_store's own reads give: inode, modification time in microseconds, size.
fn e_tag(meta: &std::fs::Metadata) -> String {
    let mtime = meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    format!("{:x}-{:x}-{:x}", meta.ino(), mtime.unwrap_or_default().as_micros(), meta.len())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|source| Error::JoinError { source })?
}

fn failed(doing: &str, path: &FsPath, source: std::io::Error) -> Error {
    let text = path.display().to_string();
    let advice = advice(&source);
    let kind = source.kind();
    let message = format!("cannot {doing} {text}: {source}. {advice}");
    let source = Box::new(std::io::Error::new(kind, message));
    match kind {
        ErrorKind::AlreadyExists => Error::AlreadyExists { path: text, source },
        ErrorKind::NotFound => Error::NotFound { path: text, source },
        ErrorKind::PermissionDenied => Error::PermissionDenied { path: text, source },
        _ => Error::Generic { store: "DurableLocal", source },
    }
}

fn ended(target: &FsPath) -> Error {
    let message = format!("the upload of {} has already ended", target.display());
    Error::Generic { store: "DurableLocal", source: message.into() }
}

fn unsupported(operation: &str, store: &DurableLocal) -> Error {
    Error::NotImplemented { operation: operation.into(), implementer: store.to_string() }
}

/// The same objects sorted by name. It holds the whole listing, which for a local folder is small.
fn in_name_order(listed: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
    let sorted = async move {
        let mut all: Vec<ObjectMeta> = listed.try_collect().await?;
        all.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(stream::iter(all.into_iter().map(Ok)))
    };
    sorted.try_flatten_stream().boxed()
}
