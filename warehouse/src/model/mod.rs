//! SQL files become tables of `mart`, after their checks hold.

mod check;
mod spec;

pub use spec::{
    Accepted, Check, Full, Incremental, ModelFile, ModelHeader, ModelSpec, Refresh, Rows, SqlCheck,
};
