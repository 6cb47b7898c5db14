//! All tiles of a page at once.

use std::collections::{BTreeMap, BTreeSet};

use access::Principal;
use chrono::Datelike;
use futures::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{SharedClock, Timestamp, limits};
use warehouse::metric::{Compare, Grain, Period};
use warehouse::{Calendar, Range, Warehouse};

use crate::answer::{PageAnswer, TileAnswer, TileFailure};
use crate::error::Error;
use crate::period;
use crate::reader::{Reader, State};
use crate::spec::{Chosen, DashboardSpec, Placed};
use crate::tile::{self, Asking};

/// What a reader asks of a page.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PageAsk {
    /// Such as `30d` or `now/M`; the dashboard's own if absent. `from` and `to` win over it.
    pub range: Option<String>,
    /// Start of the range, inclusive.
    pub from: Option<Timestamp>,
    /// End of the range, exclusive.
    pub to: Option<Timestamp>,
    /// The dashboard's own if absent.
    pub compare: Option<PageCompare>,
    /// Bucket length of all curves; chosen by the range if absent.
    pub grain: Option<Grain>,
    /// Dimension → values; null is "no value".
    pub filters: Chosen,
    /// Ids of the tiles asked for; all if absent.
    pub tiles: Option<Vec<String>>,
}

/// What values are compared to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PageCompare {
    /// Nothing, whatever the dashboard says.
    None,
    /// The period of the same length just before.
    Previous,
    /// The same dates a year before.
    LastYear,
}

/// Answers pages.
pub struct Dashboards {
    reader: Reader,
    warehouse: Warehouse,
    clock: SharedClock,
}

impl Dashboards {
    pub fn new(warehouse: Warehouse, clock: SharedClock) -> Self {
        Self { reader: Reader::new(warehouse.clone()), warehouse, clock }
    }

    /// Answers the tiles asked for. A tile that fails says so in its place and leaves the others be.
    ///
    /// # Errors
    /// The range cannot be read, a tile does not exist, the dashboard is not for `who`, or the
    /// catalogue cannot be listed.
    pub async fn answer(
        &self,
        who: &Principal,
        spec: &DashboardSpec,
        ask: &PageAsk,
    ) -> Result<PageAnswer, Error> {
        if !spec.open_to(who) {
            let roles = spec.roles.iter().map(|r| format!("{r:?}").to_lowercase());
            return Err(Error::NotPermitted { roles: roles.collect::<Vec<_>>().join(", ") });
        }
        bounded(ask)?;
        let now = self.clock.now();
        let calendar = self.warehouse.calendar().clone();
        let page = Page { ask, spec, now, calendar: &calendar };
        let (range, period) = page.range()?;
        let placed = wanted(spec, ask)?;
        let state = self.reader.state(spec, now).await?;
        // All at once: the reader bounds how many queries run.
        let answers = placed.iter().map(|placed| self.tile(who, &state, &page, (range, period), placed));
        let answers = join_all(answers).await;
        let tiles: BTreeMap<String, TileAnswer> = placed.into_iter().map(|p| p.id).zip(answers).collect();
        let own_range: BTreeSet<String> =
            spec.placed().into_iter().filter(|p| p.tile.frame().range.is_some()).map(|p| p.id).collect();
        let previous = tiles
            .iter()
            .filter(|(id, _)| !own_range.contains(*id))
            .find_map(|(_, tile)| tile.data().and_then(|data| data.evidence.previous));
        Ok(PageAnswer { range, previous, now, tiles })
    }

    async fn tile(
        &self,
        who: &Principal,
        state: &State,
        page: &Page<'_>,
        asked: (Range, Option<Period>),
        placed: &Placed<'_>,
    ) -> TileAnswer {
        let own = placed.tile.frame().range;
        let own = own
            .map(|text| period::range(text, page.now, page.calendar).map(|range| (range, Period::of(text))));
        let (range, period) = match own.transpose() {
            Ok(own) => own.unwrap_or(asked),
            Err(detail) => {
                return TileAnswer::Failure(TileFailure {
                    ok: false,
                    code: "bad_range",
                    detail,
                    hint: Some("correct `range` of this tile in the dashboard's file".into()),
                    query_id: None,
                });
            }
        };
        let asking = Asking {
            reader: &self.reader,
            who,
            state,
            range,
            period,
            compare: page.compare(),
            grain: page.ask.grain,
            filters: &page.ask.filters,
        };
        match tile::answer(placed.tile, &asking).await {
            Ok(data) => TileAnswer::Data(data),
            Err(failure) => TileAnswer::Failure(failure),
        }
    }
}

struct Page<'a> {
    ask: &'a PageAsk,
    spec: &'a DashboardSpec,
    now: Timestamp,
    calendar: &'a Calendar,
}

impl Page<'_> {
    /// The range, and the calendar period that it was asked as.
    fn range(&self) -> Result<(Range, Option<Period>), Error> {
        match (self.ask.from, self.ask.to) {
            (Some(from), Some(to))
                if from < to && [from, to].iter().all(|t| (1..=9999).contains(&t.year())) =>
            {
                Ok((Range { from, to }, None))
            }
            (Some(from), Some(to)) if from < to => {
                Err(Error::Ask { message: "`from` and `to` must lie in the years 1 to 9999".into() })
            }
            (Some(_), Some(_)) => Err(Error::Ask { message: "`from` must be before `to`; swap them".into() }),
            (None, None) => {
                let text = self.ask.range.as_deref().unwrap_or(&self.spec.range);
                let range = period::range(text, self.now, self.calendar);
                Ok((range.map_err(|message| Error::Ask { message })?, Period::of(text)))
            }
            _ => Err(Error::Ask { message: "`from` and `to` go together; give both or neither".into() }),
        }
    }

    fn compare(&self) -> Option<Compare> {
        match self.ask.compare {
            None => self.spec.compare,
            Some(PageCompare::None) => None,
            Some(PageCompare::Previous) => Some(Compare::Previous),
            Some(PageCompare::LastYear) => Some(Compare::LastYear),
        }
    }
}

/// Refuses more filters than any page has, before every tile asks with them.
fn bounded(ask: &PageAsk) -> Result<(), Error> {
    let values: usize = ask.filters.values().map(Vec::len).sum();
    let (filters, most, most_values) = (ask.filters.len(), limits().filters, limits().filter_values);
    if filters > most || values > most_values {
        return Err(Error::Ask {
            message: format!(
                "the page is filtered by {filters} dimensions with {values} values, at most {most} with {most_values} are allowed; choose fewer"
            ),
        });
    }
    Ok(())
}

fn wanted<'a>(spec: &'a DashboardSpec, ask: &PageAsk) -> Result<Vec<Placed<'a>>, Error> {
    let mut placed = spec.placed();
    let most = limits().tiles;
    if placed.len() > most {
        return Err(Error::Ask {
            message: format!(
                "the page has {} tiles; at most {most} are answered: split it into several pages",
                placed.len()
            ),
        });
    }
    let Some(ids) = &ask.tiles else { return Ok(placed) };
    let ids: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    if let Some(unknown) = ids.iter().find(|id| placed.iter().all(|p| p.id != ***id)) {
        return Err(Error::Ask {
            message: format!(
                "there is no tile `{unknown}` on this dashboard; reload the page, it may have changed"
            ),
        });
    }
    placed.retain(|p| ids.contains(p.id.as_str()));
    Ok(placed)
}
