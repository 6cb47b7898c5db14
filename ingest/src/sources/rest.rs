//! A paged JSON API over HTTP.
//!
//! All pages are fetched to a temporary file first: only then are the columns and the newest cursor
//! value known, whatever order the API answers in. Then the records land in one commit.

mod answer;
mod caller;
mod gather;
mod link;
mod pages;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use store::SharedClock;
use url::Url;

use super::Parts;
use crate::error::SourceError;
use crate::source::{Cursor, Feed, Pull, Source, Stream};
use crate::spec::{RestSpec, StreamSpec};
use caller::Caller;
use gather::Gather;
use pages::Pages;

/// An API.
pub(crate) struct Rest {
    caller: Caller,
    base: Arc<Path>,
    clock: SharedClock,
}

impl Rest {
    /// # Errors
    /// The base address does not parse, or the encoding is unknown.
    pub(crate) fn new(spec: &RestSpec, token: Option<String>, parts: &Parts) -> Result<Self, SourceError> {
        let encoding = match &spec.encoding {
            Some(name) => crate::formats::encoding::named(name).map_err(SourceError::never)?,
            None => None,
        };
        let url = Url::parse(&spec.url)
            .map_err(|e| SourceError::never(format!("`url` does not parse: {e}; write https://host/path")))?;
        let (outbound, clock) = (parts.outbound.clone(), parts.clock.clone());
        let caller = Caller { url, token, outbound, clock: clock.clone(), encoding };
        Ok(Rest { caller, base: parts.base.clone(), clock })
    }
}

#[async_trait]
impl Source for Rest {
    /// An API does not tell what it offers: the base address is called to prove that host and token are right.
    async fn streams(&self) -> Result<Vec<Stream>, SourceError> {
        self.caller.probe().await?;
        Ok(Vec::new())
    }

    async fn read(
        &self,
        stream: &StreamSpec,
        after: Option<Cursor>,
    ) -> Result<BoxStream<'static, Result<Pull, SourceError>>, SourceError> {
        let mut pages = Pages::new(self.caller.clone(), stream, after.as_ref())?;
        let mut gather = Gather::new(stream, after.as_ref(), &self.base, &*self.clock)?;
        let loaded_at = store::micros(self.clock.now());
        let (feed, pulls) = Feed::channel();
        tokio::spawn(async move {
            loop {
                match pages.next().await {
                    Ok(Some(records)) => {
                        if let Err(e) = gather.add(records) {
                            let _ = feed.send(Err(e)).await;
                            return;
                        }
                    }
                    Ok(None) => break gather.warn(pages.warning()),
                    Err(e) => {
                        let _ = feed.send(Err(e)).await;
                        return;
                    }
                }
            }
            let out = feed.clone();
            let sent = tokio::task::spawn_blocking(move || gather.send(&out, loaded_at)).await;
            if let Ok(Err(gather::Halt::Failed(e))) = sent {
                let _ = feed.send(Err(e)).await;
            }
        });
        Ok(pulls)
    }
}
