//! Who asks.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a person is in the company. Built in; a user may have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Admin,
    Analyst,
    Executive,
    Ops,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Admin, Role::Analyst, Role::Executive, Role::Ops];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Analyst => "analyst",
            Role::Executive => "executive",
            Role::Ops => "ops",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Role::ALL.map(Role::as_str);
        Role::ALL.into_iter().find(|r| r.as_str() == text).ok_or_else(|| {
            let meant =
                store::nearest(text, known).map(|m| format!(" (did you mean {m}?)")).unwrap_or_default();
            format!("\"{text}\" is not a role{meant}. Roles are admin, analyst, executive and ops.")
        })
    }
}

/// Someone or something that acts, with the roles that decide what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The name to sign in with, or one in parentheses for what is no person.
    pub user: String,
    /// The name to show.
    pub display: String,
    pub roles: Vec<Role>,
    /// Preferred language, `zh` or `en`.
    pub locale: Option<String>,
}

impl Principal {
    /// Guanlan's own jobs: everything is permitted.
    pub fn system() -> Self {
        Self::admin("(system)", "Guanlan")
    }

    /// Whoever runs the command line: reading the project folder already is every right there is.
    pub fn cli() -> Self {
        let name =
            std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".into());
        Self::admin(&format!("(cli:{name})"), &name)
    }

    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    fn admin(user: &str, display: &str) -> Self {
        Self { user: user.into(), display: display.into(), roles: vec![Role::Admin], locale: None }
    }
}
