//! Who may do what: principals, the policy, users, sessions, the audit, and the only way out by HTTP.
//!
//! Never here: SQL plans (the warehouse turns `zones` into a catalogue), HTTP routes. The policy is a pure
//! function; everything unknown is a no.

mod error;
mod policy;
mod principal;
mod tables;

pub mod audit;
pub mod outbound;
pub mod session;
pub mod users;

pub use audit::{Audit, AuditRow, Event, Verified};
pub use error::{Error, Result};
pub use outbound::{Method, Outbound, OutboundError, OutboundSpec, Reply, Request};
pub use policy::{Permission, decide, zones};
pub use principal::{Principal, Role};
pub use session::{LoginError, SessionSettings, Sessions};
pub use tables::system_queries;
pub use users::{User, Users};
