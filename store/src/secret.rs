//! Secrets by reference: a file names where a secret is, never what it is.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// How the error begins that a secret stands where a reference should.
pub const SECRET_HERE: &str = "secrets do not belong in this file";

/// The longest secret file that is read, in bytes: a mistyped path must not load a disk image.
const LONGEST: u64 = 64 * 1024;

/// `env:NAME` or `file:PATH`. Debug, Display and serde show the reference, so it may be logged.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Place);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Place {
    Env(String),
    File(PathBuf),
}

impl Secret {
    /// Parses a reference. The text itself is never repeated in an error: it may be the secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let hint = "write a reference: \"env:NAME\" for an environment variable, or \"file:PATH\" for a file \
                    that holds nothing else";
        match text.split_once(':') {
            Some(("env", name)) if is_name(name) => Ok(Self(Place::Env(name.into()))),
            Some(("file", path)) if !path.trim().is_empty() => Ok(Self(Place::File(path.into()))),
            Some(("env", _)) => {
                Err(format!("the name after env: is not an environment variable name; {hint}"))
            }
            _ => Err(format!("{SECRET_HERE}; {hint}")),
        }
    }

    /// Reads the secret now; relative files start at `base`. One trailing line break of a file is dropped.
    pub fn resolve(&self, base: &Path) -> Result<String> {
        let value = match &self.0 {
            Place::Env(name) => std::env::var(name).map_err(|_| {
                Error::Invalid(format!("the environment variable {name} is not set: set it and start again"))
            })?,
            Place::File(path) => read(&base.join(path))?,
        };
        if value.is_empty() {
            return Err(Error::Invalid(format!("the secret {self} is empty: put the secret there")));
        }
        Ok(value)
    }
}

fn read(path: &Path) -> Result<String> {
    let failed = |source| Error::Disk { doing: "read the secret file", path: path.into(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > LONGEST {
        return Err(Error::Invalid(format!(
            "the secret file {} has {size} bytes, more than a secret needs: check the path",
            path.display()
        )));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(text.strip_suffix('\n').map(|t| t.strip_suffix('\r').unwrap_or(t)).unwrap_or(&text).to_owned())
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Env(name) => write!(f, "env:{name}"),
            Place::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Secret::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$",
            "description": "A reference to a secret: env:NAME or file:PATH (relative to the project folder).",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_written_in_the_file_is_refused_without_repeating_it() {
        for text in ["hunter2", "https://hunter2", "env:not a name hunter2", "file:"] {
            let error = Secret::parse(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
            assert!(error.contains("env:NAME"), "{error}");
        }
        let error = serde_json::from_str::<Secret>("\"hunter2\"").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn debug_and_errors_show_the_reference_never_the_value() {
        let base = std::env::temp_dir().join(format!("guanlan-secret-{}", std::process::id()));
        std::fs::create_dir_all(&base).unwrap();
        std::fs::write(base.join("s"), "hunter2\n").unwrap();
        let secret = Secret::parse("file:s").unwrap();
        assert_eq!(secret.resolve(&base).unwrap(), "hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(file:s)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"file:s\"");
        let missing = Secret::parse("file:none").unwrap().resolve(&base).unwrap_err().to_string();
        assert!(missing.contains("none") && missing.contains("Check that the path exists"), "{missing}");
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn an_unset_variable_is_named() {
        let error = Secret::parse("env:GUANLAN_TEST_NEVER_SET").unwrap().resolve(Path::new("/")).unwrap_err();
        assert!(error.to_string().contains("GUANLAN_TEST_NEVER_SET is not set"));
    }
}
