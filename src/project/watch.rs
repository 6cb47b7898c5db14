//! Loads the project again when its files change.

use std::time::Duration;

use futures::Stream;
use futures::stream;
use tokio::time::{MissedTickBehavior, interval};

use super::files::Listing;
use super::load::{Loaded, Loader, Unusable};

/// How often the folder is listed, in real time: people edit files in real time, whatever the clock of
/// the simulated company says.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// New states of the project, each time its files changed and have been quiet for one look: a change
/// is served within one and a half seconds. `loader` has loaded the present state already.
///
/// The folder is listed, not watched by the kernel: that also works on network drives and in
/// containers, and 1,000 files cost a few milliseconds.
pub fn watch(loader: Loader) -> impl Stream<Item = Result<Loaded, Unusable>> + Send {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let state = Watching { seen: Listing::of(loader.dir()).ok(), pending: None, loader: Some(loader), ticks };
    stream::unfold(state, |mut state| async move {
        let loaded = state.next().await?;
        Some((loaded, state))
    })
}

struct Watching {
    /// Absent only while the loader works on its own thread.
    loader: Option<Loader>,
    /// The listing that was loaded last.
    seen: Option<Listing>,
    /// A listing that differs from `seen` and waits for the files to be quiet.
    pending: Option<Listing>,
    ticks: tokio::time::Interval,
}

impl Watching {
    async fn next(&mut self) -> Option<Result<Loaded, Unusable>> {
        loop {
            self.ticks.tick().await;
            let dir = self.loader.as_ref()?.dir().to_owned();
            // A folder that cannot be listed just now (an editor or git replaces it) is looked at again.
            let Ok(Ok(now)) = tokio::task::spawn_blocking(move || Listing::of(&dir)).await else { continue };
            if self.seen.as_ref() == Some(&now) {
                self.pending = None;
                continue;
            }
            if self.pending.as_ref() != Some(&now) {
                self.pending = Some(now);
                continue;
            }
            self.seen = self.pending.take();
            let mut loader = self.loader.take()?;
            let (loader, loaded) = tokio::task::spawn_blocking(move || {
                let loaded = loader.load();
                (loader, loaded)
            })
            .await
            .ok()?;
            self.loader = Some(loader);
            return Some(loaded);
        }
    }
}
