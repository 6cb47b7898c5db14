//! Files in a folder on local disk or in an S3-compatible store, each read once, a changed one again.

mod content;
mod glob;
mod known;
mod lake;
mod list;
mod state;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use chrono_tz::Tz;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::{ObjectStore, ObjectStoreExt};
use store::{Objects, SharedClock};

use super::Parts;
use super::spool::{Spool, failed};
use crate::error::SourceError;
use crate::formats;
use crate::formats::sink::{Sink, Stop};
use crate::source::{Cursor, Feed, FilePart, Pull, Source, Stream};
use crate::spec::{FilesSpec, FormatSpec, StreamSpec};
use content::Contents;
pub(crate) use glob::Glob;
pub(crate) use known::Known;
use list::Entry;
use state::{Landed, Seen};

/// A folder of files.
pub(crate) struct Files {
    place: Place,
    base: Arc<Path>,
    clock: SharedClock,
    zone: Tz,
}

#[derive(Clone)]
enum Place {
    Local(PathBuf),
    /// An object store and the folder inside it.
    Remote(Arc<dyn ObjectStore>, String),
}

impl Files {
    /// # Errors
    /// The object store cannot be opened.
    pub(crate) fn open(spec: &FilesSpec, parts: &Parts) -> Result<Self, SourceError> {
        let place = match &spec.store {
            None => Place::Local(super::inside(&parts.base, &spec.path)?),
            Some(store) => {
                let objects = Objects::open_behind(store, &parts.base, Some(parts.outbound.clone()))
                    .map_err(|e| SourceError::never(e.to_string()))?;
                let folder = spec.path.to_string_lossy();
                Place::Remote(
                    objects.store(),
                    folder.trim_start_matches("./").trim_matches(['/', '.']).to_owned(),
                )
            }
        };
        Ok(Files { place, base: parts.base.clone(), clock: parts.clock.clone(), zone: parts.zone })
    }

    /// The files, and the links that are not followed.
    async fn list(&self, glob: &Glob) -> Result<(Vec<Entry>, Vec<String>), SourceError> {
        match &self.place {
            Place::Local(folder) => {
                let (folder, glob) = (folder.clone(), glob.clone());
                tokio::task::spawn_blocking(move || list::local(&folder, &glob))
                    .await
                    .map_err(|e| SourceError::later(format!("listing failed: {e}")))?
            }
            Place::Remote(store, folder) => {
                list::remote(store.as_ref(), folder, glob).await.map(|found| (found, Vec::new()))
            }
        }
    }
}

#[async_trait]
impl Source for Files {
    async fn streams(&self) -> Result<Vec<Stream>, SourceError> {
        let (all, _) = self.list(&Glob::parse("**").map_err(SourceError::never)?).await?;
        Ok(all
            .into_iter()
            .take(1000)
            .map(|e| Stream { detail: format!("{} bytes", e.size), name: e.name })
            .collect())
    }

    async fn read(
        &self,
        stream: &StreamSpec,
        after: Option<Cursor>,
    ) -> Result<BoxStream<'static, Result<Pull, SourceError>>, SourceError> {
        let glob = Glob::parse(stream.glob.as_deref().unwrap_or("*")).map_err(SourceError::never)?;
        let format = stream.format.clone().ok_or_else(|| SourceError::never("the stream has no `format`"))?;
        let (entries, links) = self.list(&glob).await?;
        let landed = Landed::read(after.as_ref());
        let gone = landed.gone(&entries);
        let (absent, more) = landed.absent(&entries);
        let notices = notices(&links, more.then_some(absent));
        let loose = matches!(format, FormatSpec::Json(_) | FormatSpec::Ndjson(_) | FormatSpec::Xes(_));
        let (known, contents) = (landed.known(loose), landed.contents(&entries));
        let due: Vec<(Entry, Seen)> = entries
            .into_iter()
            .map(|e| (landed.look(&e), e))
            .filter(|(seen, _)| *seen != Seen::Same)
            .map(|(seen, e)| (e, seen))
            .collect();
        let (due, refused) = lake::leave_out(&self.place, &format, due).await;
        let (feed, pulls) = Feed::channel();
        let reader = Reader {
            place: self.place.clone(),
            base: self.base.clone(),
            clock: self.clock.clone(),
            format,
            feed,
            zone: self.zone,
            refused,
            known,
            contents,
            absent,
        };
        tokio::spawn(reader.run(due, gone, notices));
        Ok(pulls)
    }

    async fn again(&self, _: &StreamSpec, before: &Cursor) -> Result<Option<Cursor>, SourceError> {
        // Whatever the glob says now: a file that is there and no longer meant shall not stay.
        let (all, _) = self.list(&Glob::parse("**").map_err(SourceError::never)?).await?;
        let landed = Landed::read(Some(before));
        Ok((!landed.all_among(&all)).then(|| landed.unlike(None)))
    }

    fn reread(&self, before: &Cursor, files: &BTreeSet<String>) -> Option<Cursor> {
        Some(Landed::read(Some(before)).unlike(Some(files)))
    }

    fn fold(&self, before: Option<&Cursor>, landed: Cursor) -> Cursor {
        Landed::read(before).with(&landed)
    }
}

/// Reads the files that are due, one after the other.
struct Reader {
    place: Place,
    base: Arc<Path>,
    clock: SharedClock,
    format: FormatSpec,
    feed: Feed,
    zone: Tz,
    /// Folders whose files are not rows by themselves.
    refused: Vec<SourceError>,
    known: Known,
    contents: Contents,
    /// Files that landed and are no longer there.
    absent: u64,
}

/// What a listing alone tells.
fn notices(links: &[String], absent: Option<u64>) -> Vec<String> {
    let mut said: Vec<String> = links
        .iter()
        .map(|link| format!("`{link}` is a link and was not followed: put the file itself into the folder"))
        .collect();
    if let Some(count) = absent {
        said.push(format!(
            "{} no longer there (deleted, moved or renamed); the rows that came from {} stay in the table",
            if count == 1 {
                "1 file that landed is".to_owned()
            } else {
                format!("{count} files that landed are")
            },
            if count == 1 { "it" } else { "them" }
        ));
    }
    said
}

/// A pull that only says something: it belongs to no file and moves no cursor.
fn word(warnings: Vec<String>) -> Pull {
    Pull {
        rows: RecordBatch::new_empty(Arc::new(Schema::new(formats::sink::meta_fields().to_vec()))),
        rejected: None,
        cursor: Cursor::Null,
        commit: false,
        file: None,
        warnings,
        changed: Vec::new(),
        found: Vec::new(),
    }
}

impl Reader {
    async fn run(mut self, due: Vec<(Entry, Seen)>, mut gone: Option<String>, notices: Vec<String>) {
        if !notices.is_empty() && self.feed.send(Ok(word(notices))).await.is_err() {
            return;
        }
        for refused in std::mem::take(&mut self.refused) {
            if self.feed.send(Err(refused)).await.is_err() {
                return;
            }
        }
        for (entry, seen) in due {
            let cursor = state::patch(&entry, self.absent, gone.take());
            let part = FilePart { name: entry.name.clone(), again: seen == Seen::Maybe };
            match self.one(&entry, part, cursor).await {
                Ok(()) => {}
                Err(Stop::Closed) => return,
                // The others go on.
                Err(Stop::Failed(e)) => {
                    if self.feed.send(Err(e.about(&format!("file `{}`", entry.name)))).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn one(&self, entry: &Entry, part: FilePart, cursor: Cursor) -> Result<(), Stop> {
        let sink = Sink::new(self.feed.clone(), part, cursor, store::micros(self.clock.now()));
        let mut sink = sink.in_zone(self.zone).among(self.known.clone());
        let (path, folder, spool) = match &self.place {
            Place::Local(folder) => (folder.join(&entry.name), Some(folder.clone()), None),
            Place::Remote(store, _) => {
                let spool = self.fetch(store, entry).await?;
                (spool.path().to_owned(), None, Some(spool))
            }
        };
        let (format, contents, entry) = (self.format.clone(), self.contents.clone(), entry.clone());
        let read = tokio::task::spawn_blocking(move || {
            let stamp = |folder: &PathBuf| list::stamp(folder, &path).map_err(formats::encoding::unreadable);
            let before = folder.as_ref().map(stamp).transpose()?;
            let changed = || SourceError::later("changed while it was read; the next sync reads it again");
            if before.is_some_and(|before| !before.is_of(&entry)) {
                return Err(changed().into());
            }
            if entry.size > 0
                && let Ok(content) = content::hash(&path)
            {
                sink.remember("content", state::content_patch(&entry, content));
                contents
                    .note(&entry.name, state::path_hash(&entry), content)
                    .into_iter()
                    .for_each(|w| sink.warn(w));
            }
            formats::read(&path, &format, &mut sink)?;
            // A file that somebody still writes must not count as read.
            if let (Some(before), Some(folder)) = (before, &folder) {
                match list::stamp(folder, &path) {
                    Ok(now) if now != before => return Err(changed().into()),
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(changed().into()),
                    _ => {}
                }
            }
            drop(spool);
            sink.finish()
        });
        read.await.unwrap_or_else(|e| {
            Err(SourceError::never(format!("its reader broke: {e}; please report this file")).into())
        })
    }

    /// Downloads an object: every format can then seek, and a broken connection costs no half-landed rows.
    async fn fetch(&self, store: &Arc<dyn ObjectStore>, entry: &Entry) -> Result<Spool, SourceError> {
        let (spool, mut file) = Spool::create(&self.base, &*self.clock)?;
        let far = |e: object_store::Error| match e {
            object_store::Error::NotFound { .. } => {
                SourceError::later("is gone; it was deleted or moved while it was read")
            }
            e => SourceError::later(format!("cannot be downloaded: {e}")),
        };
        let mut chunks = store.get(&entry.key).await.map_err(far)?.into_stream();
        while let Some(chunk) = chunks.try_next().await.map_err(far)? {
            file = tokio::task::spawn_blocking(move || {
                std::io::Write::write_all(&mut file, &chunk).map(|()| file)
            })
            .await
            .map_err(|e| SourceError::later(format!("download failed: {e}")))?
            .map_err(|e| failed(spool.path(), &e))?;
        }
        Ok(spool)
    }
}
