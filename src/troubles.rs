//! What is wrong with the warning itself, of the project that is served now.

use anyhow::Result;
use rules::Trouble;

use crate::platform::Platform;

impl Platform {
    /// Rules that cannot be evaluated or are late, channels that are closed, fail or gave messages up.
    ///
    /// # Errors
    /// The metadata database cannot be read.
    pub async fn troubles(&self) -> Result<Vec<Trouble>> {
        let live = self.project();
        let states = self.rules.states().await?;
        let due = live.project.rules.iter().map(|(name, spec)| {
            let last = states.get(name).and_then(|state| state.last_evaluated);
            (name.clone(), last.and_then(|last| live.project.next_run(&spec.schedule(), last)))
        });
        let channels = self.rules.channels(&live.project.config.channels).await?;
        Ok(rules::troubles(&due.collect(), &states, &channels, self.clock.now()))
    }
}
