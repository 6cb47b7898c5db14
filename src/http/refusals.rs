//! How each room's errors become answers.

use axum::http::StatusCode;

use super::Refusal;

impl From<warehouse::Error> for Refusal {
    fn from(error: warehouse::Error) -> Self {
        use warehouse::Error as E;
        let detail = error.to_string();
        match error {
            E::NotFound { what, hint } => {
                let refusal = Refusal::not_found(format!("{what} was not found"));
                Refusal { hint, ..refusal }
            }
            E::Sql { message, line, column, hint } => {
                let refusal = Refusal::new(StatusCode::BAD_REQUEST, "sql", "The query cannot run", message);
                Refusal {
                    line: line.map(|l| l as usize),
                    column: column.map(|c| c as usize),
                    hint,
                    ..refusal
                }
            }
            E::Refused { message, hint } => {
                let refusal = Refusal::new(StatusCode::FORBIDDEN, "refused", "Not permitted", message);
                Refusal { hint, ..refusal }
            }
            E::Exhausted { message } => Refusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "exhausted",
                "The query needs too much",
                message,
            )
            .hint("narrow the time range, select fewer columns, or raise query.memory_mib in guanlan.yaml"),
            E::Timeout { seconds } => Refusal::new(
                StatusCode::GATEWAY_TIMEOUT,
                "timeout",
                "The query took too long",
                format!("stopped after {seconds} s"),
            )
            .hint("narrow the time range, or raise query.timeout in guanlan.yaml"),
            E::Cancelled => {
                Refusal::new(StatusCode::CONFLICT, "cancelled", "Cancelled", "the query was cancelled")
            }
            E::Internal { .. } => {
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something failed here", detail)
            }
            E::Invalid { message } => Refusal::bad_request(message),
            E::SchemaChanged { .. } | E::Unsupported { .. } | E::Check { .. } | E::Damaged { .. } => {
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "table", "The table cannot be read", detail)
            }
            E::Conflict { .. } => Refusal::new(StatusCode::CONFLICT, "conflict", "Changed meanwhile", detail),
            E::Store { .. } => Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "storage",
                "The object store does not answer",
                detail,
            ),
            E::Metadata(inner) => inner.into(),
        }
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        match &error {
            store::Error::Invalid(why) => Refusal::bad_request(why),
            _ => Refusal::internal(error),
        }
    }
}

impl From<ingest::Error> for Refusal {
    fn from(error: ingest::Error) -> Self {
        use ingest::Error as E;
        match error {
            E::NoStream { .. } => Refusal::not_found(error),
            E::Source(why) => {
                Refusal::new(StatusCode::BAD_GATEWAY, "source", "The source cannot be read", why)
            }
            E::Warehouse(inner) => inner.into(),
            E::Store(inner) => inner.into(),
            E::Metadata(_) => Refusal::internal(error),
        }
    }
}

impl From<access::Error> for Refusal {
    fn from(error: access::Error) -> Self {
        use access::Error as E;
        match error {
            E::Invalid(why) => Refusal::bad_request(why),
            E::UnknownUser(_) => Refusal::not_found(error),
            E::Busy => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", error),
            E::Damaged { .. } => Refusal::internal(error),
            E::Store(inner) => inner.into(),
        }
    }
}

impl From<dashboards::Error> for Refusal {
    fn from(error: dashboards::Error) -> Self {
        use dashboards::Error as E;
        match error {
            E::NotPermitted { .. } => Refusal::forbidden(error),
            E::Ask { message } => Refusal::bad_request(message),
            E::Catalogue(_) => {
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "storage", "The tables cannot be listed", error)
            }
        }
    }
}

impl From<rules::Error> for Refusal {
    fn from(error: rules::Error) -> Self {
        match error {
            rules::Error::NoAlert(_) | rules::Error::NoDelivery(_) | rules::Error::NoChannel { .. } => {
                Refusal::not_found(error)
            }
            rules::Error::Invalid(why) => Refusal::bad_request(why),
            rules::Error::Store(inner) => inner.into(),
            rules::Error::Warehouse(inner) => inner.into(),
        }
    }
}
