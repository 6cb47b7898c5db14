//! Files in a folder on local disk or in an S3-compatible store, each read once, a changed one again.

mod glob;
mod lake;
mod list;
mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;

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
pub(crate) use glob::Glob;
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
            None => Place::Local(parts.base.join(&spec.path)),
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

    async fn list(&self, glob: &Glob) -> Result<Vec<Entry>, SourceError> {
        match &self.place {
            Place::Local(folder) => {
                let (folder, glob) = (folder.clone(), glob.clone());
                tokio::task::spawn_blocking(move || list::local(&folder, &glob))
                    .await
                    .map_err(|e| SourceError::later(format!("listing failed: {e}")))?
            }
            Place::Remote(store, folder) => list::remote(store.as_ref(), folder, glob).await,
        }
    }
}

#[async_trait]
impl Source for Files {
    async fn streams(&self) -> Result<Vec<Stream>, SourceError> {
        let all = self.list(&Glob::parse("**").map_err(SourceError::never)?).await?;
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
        let entries = self.list(&glob).await?;
        let landed = Landed::read(after.as_ref());
        let gone = landed.gone(&entries);
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
        };
        tokio::spawn(reader.run(due, gone));
        Ok(pulls)
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
}

impl Reader {
    async fn run(mut self, due: Vec<(Entry, Seen)>, mut gone: Option<String>) {
        for refused in std::mem::take(&mut self.refused) {
            if self.feed.send(Err(refused)).await.is_err() {
                return;
            }
        }
        for (entry, seen) in due {
            let cursor = state::patch(&entry, gone.take());
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
        let mut sink = sink.in_zone(self.zone);
        let (path, spool) = match &self.place {
            Place::Local(folder) => (folder.join(&entry.name), None),
            Place::Remote(store, _) => {
                let spool = self.fetch(store, entry).await?;
                (spool.path().to_owned(), Some(spool))
            }
        };
        let format = self.format.clone();
        let local = spool.is_none();
        let entry = entry.clone();
        let read = tokio::task::spawn_blocking(move || {
            formats::read(&path, &format, &mut sink)?;
            // A file that somebody still writes must not count as read.
            if local && list::identity(&path).is_ok_and(|now| now != (entry.size, entry.modified)) {
                return Err(
                    SourceError::later("changed while it was read; the next sync reads it again").into()
                );
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
