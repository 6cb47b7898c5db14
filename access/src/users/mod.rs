//! Accounts and their passwords (Argon2id), in the metadata database.

mod password;
#[cfg(test)]
mod tests;

use serde::Serialize;
use store::{Metadata, SharedClock, Timestamp, Transaction, from_micros, micros};

use self::password::Hasher;
use crate::error::{Doing, Error, Result};
use crate::principal::{Principal, Role};
use crate::tables;

/// An account as shown to administrators.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct User {
    pub name: String,
    pub display: String,
    pub roles: Vec<Role>,
    pub locale: Option<String>,
    pub disabled: bool,
    pub last_login: Option<Timestamp>,
}

/// A handle; clones share the limit on hashing.
#[derive(Debug, Clone)]
pub struct Users {
    db: Metadata,
    clock: SharedClock,
    hasher: Hasher,
}

type Record = (String, String, String, Option<String>, i64, Option<i64>);

impl Users {
    pub async fn open(db: Metadata, clock: SharedClock) -> Result<Self> {
        db.migrate(tables::ROOM, &tables::STEPS).await?;
        let hasher = Hasher::new(clock.clone()).await?;
        Ok(Self { db, clock, hasher })
    }

    /// Adds an account and returns its password: the given one, or a random one that is shown this once.
    /// Names are kept in lower case.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is taken or malformed, no roles, or a weak password.
    pub async fn add(
        &self,
        name: &str,
        display: &str,
        roles: &[Role],
        password: Option<&str>,
    ) -> Result<String> {
        let name = checked_name(name)?;
        if roles.is_empty() {
            return Err(Error::Invalid(format!(
                "user \"{name}\" needs a role: admin, analyst, executive or ops"
            )));
        }
        if display.trim().is_empty() || display.chars().count() > 128 {
            return Err(Error::Invalid("the name to show must have 1 to 128 characters".into()));
        }
        let (password, hash) = self.hasher.choose(&name, password).await?;
        let mut tx = self.db.begin().await?;
        let now = micros(self.clock.now());
        let added = sqlx::query(
            "INSERT INTO users (name, display, roles, password_hash, disabled, created_at, password_at) \
             VALUES ($1, $2, $3, $4, 0, $5, $5) ON CONFLICT (name) DO NOTHING",
        )
        .bind(&name)
        .bind(display.trim())
        .bind(write_roles(roles))
        .bind(hash)
        .bind(now)
        .execute(&mut *tx)
        .await
        .doing("add a user")?;
        if added.rows_affected() == 0 {
            return Err(Error::Invalid(format!(
                "user \"{name}\" already exists: choose another name, or set a new password with `guanlan user \
                 password {name}`"
            )));
        }
        tx.commit().await.doing("add a user")?;
        Ok(password)
    }

    /// All accounts by name.
    pub async fn list(&self) -> Result<Vec<User>> {
        let rows: Vec<Record> = sqlx::query_as(
            "SELECT name, display, roles, locale, disabled, last_login FROM users ORDER BY name",
        )
        .fetch_all(self.db.pool())
        .await
        .doing("list the users")?;
        rows.into_iter().map(read).collect()
    }

    /// One account.
    pub async fn get(&self, name: &str) -> Result<Option<User>> {
        let row: Option<Record> = sqlx::query_as(
            "SELECT name, display, roles, locale, disabled, last_login FROM users WHERE name = $1",
        )
        .bind(normal(name))
        .fetch_optional(self.db.pool())
        .await
        .doing("read a user")?;
        row.map(read).transpose()
    }

    /// Sets a password (a random one for `None`) and ends the account's sessions; a disabled account stays
    /// disabled. Returns the password.
    pub async fn set_password(&self, name: &str, password: Option<&str>) -> Result<String> {
        let name = normal(name);
        let (password, hash) = self.hasher.choose(&name, password).await?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query("UPDATE users SET password_hash = $1, password_at = $2 WHERE name = $3")
            .bind(hash)
            .bind(micros(self.clock.now()))
            .bind(&name)
            .execute(&mut *tx)
            .await
            .doing("set a password")?;
        end_sessions(&mut tx, &name, done.rows_affected()).await?;
        tx.commit().await.doing("set a password")?;
        Ok(password)
    }

    /// Replaces the roles; running sessions have them from their next request.
    pub async fn set_roles(&self, name: &str, roles: &[Role]) -> Result<()> {
        if roles.is_empty() {
            return Err(Error::Invalid("a user needs a role: disable the user instead".into()));
        }
        if !roles.contains(&Role::Admin) {
            self.leave_an_admin(name).await?;
        }
        self.update(name, "UPDATE users SET roles = $1 WHERE name = $2", &write_roles(roles)).await
    }

    /// Sets the preferred language, `zh` or `en`.
    pub async fn set_locale(&self, name: &str, locale: &str) -> Result<()> {
        if !matches!(locale, "zh" | "en") {
            return Err(Error::Invalid(format!("\"{locale}\" is not a language of Guanlan: zh or en")));
        }
        self.update(name, "UPDATE users SET locale = $1 WHERE name = $2", locale).await
    }

    /// Disables an account and ends its sessions; its history stays.
    pub async fn disable(&self, name: &str) -> Result<()> {
        let name = normal(name);
        self.leave_an_admin(&name).await?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query("UPDATE users SET disabled = 1 WHERE name = $1")
            .bind(&name)
            .execute(&mut *tx)
            .await
            .doing("disable a user")?;
        end_sessions(&mut tx, &name, done.rows_affected()).await?;
        tx.commit().await.doing("disable a user")
    }

    /// Lets a disabled account sign in again.
    pub async fn enable(&self, name: &str) -> Result<()> {
        let done = sqlx::query("UPDATE users SET disabled = 0 WHERE name = $1")
            .bind(normal(name))
            .execute(self.db.pool())
            .await
            .doing("enable a user")?;
        if done.rows_affected() == 0 { Err(Error::UnknownUser(name.into())) } else { Ok(()) }
    }

    /// Without an admin nobody could give rights any more.
    async fn leave_an_admin(&self, name: &str) -> Result<()> {
        let is_admin = |user: &User| !user.disabled && user.roles.contains(&Role::Admin);
        let admins: Vec<String> = self.list().await?.into_iter().filter(is_admin).map(|u| u.name).collect();
        if admins == [normal(name)] {
            return Err(Error::Invalid(format!(
                "\"{name}\" is the last admin: give another user the role admin first"
            )));
        }
        Ok(())
    }

    /// The principal when the password is right and the account enabled. A wrong password, an unknown
    /// and a disabled user take the same time and give the same answer.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many logins are being checked already.
    pub async fn verify(&self, name: &str, password: &str) -> Result<Option<Principal>> {
        let name = normal(name);
        let hash: Option<String> =
            sqlx::query_scalar("SELECT password_hash FROM users WHERE name = $1 AND disabled = 0")
                .bind(&name)
                .fetch_optional(self.db.pool())
                .await
                .doing("read a user")?;
        if !self.hasher.matches(hash, password).await? {
            return Ok(None);
        }
        Ok(self.get(&name).await?.map(principal))
    }

    async fn update(&self, name: &str, sql: &'static str, value: &str) -> Result<()> {
        let done = sqlx::query(sql)
            .bind(value)
            .bind(normal(name))
            .execute(self.db.pool())
            .await
            .doing("change a user")?;
        if done.rows_affected() == 0 { Err(Error::UnknownUser(name.into())) } else { Ok(()) }
    }
}

/// Names are compared in lower case and without surrounding blanks.
pub(crate) fn normal(name: &str) -> String {
    name.trim().to_lowercase()
}

pub(crate) fn principal(user: User) -> Principal {
    Principal { user: user.name, display: user.display, roles: user.roles, locale: user.locale }
}

pub(crate) fn read((name, display, roles, locale, disabled, last_login): Record) -> Result<User> {
    let roles = serde_json::from_str(&roles)
        .map_err(|e| Error::Damaged { what: format!("user {name}"), why: e.to_string() })?;
    Ok(User {
        name,
        display,
        roles,
        locale,
        disabled: disabled != 0,
        last_login: last_login.map(from_micros),
    })
}

async fn end_sessions(tx: &mut Transaction, name: &str, found: u64) -> Result<()> {
    if found == 0 {
        return Err(Error::UnknownUser(name.into()));
    }
    sqlx::query("DELETE FROM sessions WHERE user_name = $1")
        .bind(name)
        .execute(&mut **tx)
        .await
        .doing("end the sessions of a user")?;
    Ok(())
}

fn write_roles(roles: &[Role]) -> String {
    let mut roles = roles.to_vec();
    roles.sort();
    roles.dedup();
    serde_json::to_string(&roles).expect("a list of plain words always serializes")
}

fn checked_name(name: &str) -> Result<String> {
    let name = normal(name);
    let fits = (1..=64).contains(&name.chars().count())
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@'));
    if fits {
        return Ok(name);
    }
    Err(Error::Invalid("a user name has 1 to 64 letters, digits or . _ - @, for example zhang.wei".into()))
}
