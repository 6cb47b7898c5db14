//! When each rule was last looked at, and since when it cannot be.

use std::collections::{BTreeMap, HashMap};

use store::{Timestamp, Transaction, from_micros, micros};

use crate::Rules;
use crate::error::Result;
use crate::evaluate::Pass;
use crate::history::RuleState;

/// What is remembered of a rule's evaluations.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Watched {
    /// The last evaluation that saw anything.
    pub(crate) looked_at: Option<Timestamp>,
    /// The first of the failures that have not ended yet.
    pub(crate) failing_since: Option<Timestamp>,
}

impl Rules {
    pub(crate) async fn watched(&self) -> Result<HashMap<String, Watched>> {
        let rows: Vec<(String, Option<i64>, Option<i64>)> =
            sqlx::query_as("SELECT rule, looked_at, failing_since FROM rule_states")
                .fetch_all(self.db.pool())
                .await?;
        let watched = |(rule, looked, failing): (String, Option<i64>, Option<i64>)| {
            (rule, Watched { looked_at: looked.map(from_micros), failing_since: failing.map(from_micros) })
        };
        Ok(rows.into_iter().map(watched).collect())
    }

    pub(crate) async fn remember(&self, pass: &Pass, now: Timestamp) -> Result<()> {
        let mut tx = self.db.begin().await?;
        for rule in &pass.rules {
            sqlx::query(
                "INSERT INTO rule_states (rule, evaluated_at, error, looked_at, failing_since) \
                 VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (rule) DO UPDATE SET evaluated_at = excluded.evaluated_at, error = excluded.error, \
                   looked_at = COALESCE(excluded.looked_at, rule_states.looked_at), \
                   failing_since = CASE WHEN excluded.error IS NULL THEN NULL \
                     ELSE COALESCE(rule_states.failing_since, excluded.failing_since) END",
            )
            .bind(&rule.rule)
            .bind(micros(now))
            .bind(&rule.error)
            .bind(rule.error.is_none().then_some(micros(now)))
            .bind(rule.error.is_some().then_some(micros(now)))
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Forgets a rule that is gone.
    pub(crate) async fn unwatch(&self, tx: &mut Transaction, rule: &str) -> Result<()> {
        sqlx::query("DELETE FROM rule_states WHERE rule = $1").bind(rule).execute(&mut **tx).await?;
        Ok(())
    }

    /// How every evaluated rule stands.
    ///
    /// # Errors
    /// The metadata database cannot be read.
    pub async fn states(&self) -> Result<BTreeMap<String, RuleState>> {
        let mut states: BTreeMap<String, RuleState> = BTreeMap::new();
        type Row = (String, i64, Option<String>, Option<i64>);
        let evaluated: Vec<Row> =
            sqlx::query_as("SELECT rule, evaluated_at, error, failing_since FROM rule_states")
                .fetch_all(self.db.pool())
                .await?;
        for (rule, at, error, since) in evaluated {
            let state = states.entry(rule).or_default();
            (state.last_evaluated, state.last_error) = (Some(from_micros(at)), error);
            state.failing_since = since.map(from_micros);
        }
        let open: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT rule, state, COUNT(*) FROM alerts WHERE state IN ('pending', 'firing') GROUP BY rule, state",
        )
        .fetch_all(self.db.pool())
        .await?;
        for (rule, state, count) in open {
            let entry = states.entry(rule).or_default();
            if state == "firing" { entry.firing = count } else { entry.pending = count }
        }
        Ok(states)
    }
}
