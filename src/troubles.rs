//! What is wrong of the project that is served now: sources that bring nothing, and the warning itself.

use std::collections::BTreeMap;

use anyhow::Result;
use ingest::SourceState;
use rules::Trouble;
use serde::Serialize;

use crate::platform::Platform;

/// How the server stands.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// Sources whose latest read failed.
    pub sources: Vec<SourceState>,
    /// Rules, channels, cleanings, models and definitions that do not do their work, and a process short of memory.
    pub troubles: Vec<Trouble>,
}

impl Standing {
    pub fn is_good(&self) -> bool {
        self.sources.is_empty() && self.troubles.is_empty()
    }

    /// What is wrong by kind and number, without a name: for whoever asks.
    pub fn kinds(&self) -> BTreeMap<&'static str, usize> {
        let sources = self.sources.iter().map(|_| "source.failing");
        let mut kinds = BTreeMap::new();
        for kind in sources.chain(self.troubles.iter().map(|t| t.what)) {
            *kinds.entry(kind).or_default() += 1;
        }
        kinds
    }
}

impl Platform {
    /// Everything that is wrong now.
    ///
    /// # Errors
    /// The metadata database cannot be read.
    pub async fn standing(&self) -> Result<Standing> {
        let live = self.project();
        let states = self.ingest.states(&live.project.sources).await?;
        let sources = states.into_iter().filter(SourceState::is_failing).collect();
        let mut troubles = self.troubles().await?;
        troubles.extend(self.broken().await?);
        troubles.extend(self.warehouse.is_short_of_memory().then(|| {
            Trouble {
                what: "memory.short",
                name: "queries".into(),
                since: None,
                message:
                    "the process holds all the memory it may, and refuses queries; see limits.resident_bytes"
                        .into(),
            }
        }));
        Ok(Standing { sources, troubles })
    }

    /// Cleanings and models that keep an older version because their last run failed, and definitions that are not in force.
    async fn broken(&self) -> Result<Vec<Trouble>> {
        let live = self.project();
        let failed = self.warehouse.failed_builds().await?;
        let cleans = self.warehouse.failed_cleans().await?.into_iter().map(|clean| Trouble {
            what: "clean.failing",
            name: clean.name,
            since: Some(clean.at),
            message: clean.message,
        });
        let models = failed.into_iter().filter(|(name, _)| live.project.models.contains_key(name)).map(
            |(name, state)| Trouble {
                what: "model.failing",
                name,
                since: Some(state.at),
                message: state.message,
            },
        );
        let definitions = live.findings.iter().filter(|finding| finding.is_error()).map(|finding| Trouble {
            what: "definition.broken",
            name: finding.file.clone(),
            since: None,
            message: finding.message.clone(),
        });
        Ok(cleans.chain(models).chain(definitions).collect())
    }

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
