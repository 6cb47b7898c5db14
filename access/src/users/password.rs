//! Passwords: Argon2id with OWASP's parameters, a bounded number at once, so that a flood of logins
//! exhausts neither memory nor threads.

use std::sync::Arc;

use argon2::password_hash::{Output, ParamsString, PasswordHash, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use store::SharedClock;
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Hashes computed at once: 38 MiB.
const AT_ONCE: usize = 2;
/// Logins that wait for their turn.
const WAITING: usize = 64;
const SHORTEST: usize = 10;
/// Longest password in bytes: a longer one only costs time.
const LONGEST: usize = 256;

/// Letters of random passwords: 32, without those that look alike.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789+";

#[derive(Debug, Clone)]
pub(super) struct Hasher {
    clock: SharedClock,
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// The hash of a password nobody knows: checked for unknown users, so that they take as long.
    decoy: Arc<str>,
}

impl Hasher {
    pub(super) async fn new(clock: SharedClock) -> Result<Self> {
        let mut hasher = Self {
            clock,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            queue: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            decoy: "".into(),
        };
        hasher.decoy = hasher.hash(hasher.random()).await?.into();
        Ok(hasher)
    }

    /// The password to use and its hash.
    pub(super) async fn choose(&self, name: &str, given: Option<&str>) -> Result<(String, String)> {
        let password = match given {
            Some(given) => checked(name, given)?.to_owned(),
            None => self.random(),
        };
        let hash = self.hash(password.clone()).await?;
        Ok((password, hash))
    }

    /// Whether the password belongs to the hash; `None` costs as much and is false.
    pub(super) async fn matches(&self, hash: Option<String>, password: &str) -> Result<bool> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.to_string());
        // A password that cannot have been set is not worth more time than any other.
        let password = if password.len() <= LONGEST { password.to_owned() } else { String::new() };
        let right = self
            .work(move || {
                let damaged = |why: String| Error::Damaged { what: "a password hash".into(), why };
                let parsed = PasswordHash::new(&hash).map_err(|e| damaged(e.to_string()))?;
                let (Some(salt), Some(expected)) = (parsed.salt, parsed.hash) else {
                    return Err(damaged("it has no salt or no hash".into()));
                };
                let algorithm = Algorithm::try_from(parsed.algorithm).map_err(|e| damaged(e.to_string()))?;
                let version = parsed.version.map_or(Ok(Version::V0x13), Version::try_from);
                let version = version.map_err(|e| damaged(e.to_string()))?;
                let params = Params::try_from(&parsed).map_err(|e| damaged(e.to_string()))?;
                // Comparing outputs takes the same time wherever they differ.
                Ok(output(&Argon2::new(algorithm, version, params), &password, salt)? == expected)
            })
            .await?;
        Ok(right && known)
    }

    async fn hash(&self, password: String) -> Result<String> {
        let mut salt = [0u8; 16];
        self.clock.fill(&mut salt);
        self.work(move || {
            let params =
                Params::new(MEMORY_KIB, PASSES, 1, None).expect("the constants lie within Argon2's limits");
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let salt = SaltString::encode_b64(&salt).map_err(failed)?;
            let hash = PasswordHash {
                algorithm: Algorithm::Argon2id.ident(),
                version: Some(Version::V0x13.into()),
                params: ParamsString::try_from(argon.params()).map_err(failed)?,
                salt: Some(salt.as_salt()),
                hash: Some(output(&argon, &password, salt.as_salt())?),
            };
            Ok(hash.to_string())
        })
        .await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let _place = self.queue.try_acquire().map_err(|_| Error::Busy)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Error::Busy)?;
        let task = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, not with a caller who hung up.
            let _turn = turn;
            work()
        });
        task.await.map_err(|e| Error::Damaged { what: "the password check".into(), why: e.to_string() })?
    }

    /// Sixteen letters in four groups, 80 bits.
    fn random(&self) -> String {
        let mut bytes = [0u8; 16];
        self.clock.fill(&mut bytes);
        let letters: Vec<u8> = bytes.iter().map(|b| LETTERS[usize::from(b % 32)]).collect();
        let groups: Vec<String> =
            letters.chunks(4).map(|c| c.iter().map(|b| char::from(*b)).collect()).collect();
        groups.join("-")
    }
}

/// The hash itself, in memory that is asked for: the crate's own way ends the process where there is none.
fn output(argon: &Argon2<'_>, password: &str, salt: Salt<'_>) -> Result<Output> {
    let mut bytes = [0u8; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut bytes).map_err(failed)?;
    let mut memory: Vec<Block> = Vec::new();
    memory.try_reserve_exact(argon.params().block_count()).map_err(|_| Error::Busy)?;
    memory.resize(argon.params().block_count(), Block::default());
    let length = argon.params().output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let fill = |out: &mut [u8]| {
        Ok(argon.hash_password_into_with_memory(password.as_bytes(), salt, out, &mut memory)?)
    };
    Output::init_with(length, fill).map_err(failed)
}

fn failed(error: argon2::password_hash::Error) -> Error {
    Error::Damaged { what: "the password hash".into(), why: error.to_string() }
}

fn checked<'a>(name: &str, password: &'a str) -> Result<&'a str> {
    let wrong = |why: &str| {
        Err(Error::Invalid(format!("the password {why}: choose another, or leave it out for a random one")))
    };
    if password.chars().count() < SHORTEST {
        return wrong("is shorter than 10 characters");
    }
    if password.len() > LONGEST {
        return wrong("is longer than 256 bytes");
    }
    if password.to_lowercase().contains(name) && name.chars().count() >= 3 {
        return wrong("contains the user name");
    }
    let first = password.chars().next();
    if password.chars().all(|c| Some(c) == first) {
        return wrong("repeats one character");
    }
    Ok(password)
}
