//! `guanlan.yaml`: the site, its stores and its doors. Each room owns the meaning of its section; this
//! file puts the sections together.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use access::{OutboundSpec, SessionSettings};
use chrono_tz::Tz;
use rules::ChannelSpec;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};
use store::{Limits, Problem, Secret, Span, StoreSpec};
use url::Url;
use warehouse::{Retention, Title};

use crate::http::{Network, TlsSpec};

/// The configuration of a site.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who runs this and where.
    pub site: Site,
    /// Where tables live.
    #[serde(default = "local_data")]
    pub store: StoreSpec,
    /// Where accounts, jobs, alerts and the audit trail live.
    #[serde(default)]
    pub metadata: MetadataConfig,
    /// Address and port of the web server; `0.0.0.0:8080` for all addresses of this machine.
    #[serde(default = "this_machine", deserialize_with = "address")]
    #[schemars(example = "127.0.0.1:8080", example = "0.0.0.0:8080")]
    pub listen: String,
    /// Certificate and key of the web server. Needed to listen beyond this machine, unless `insecure` says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
    /// Listen beyond this machine without TLS: only behind a proxy that encrypts, on a network that nobody else reads.
    #[serde(default)]
    pub insecure: bool,
    /// The address that people open, such as `https://guanlan.example.com`. Requests by other names are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Proxies in front of this server, whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<Network>,
    /// How long earlier versions of tables stay.
    #[serde(default)]
    pub tables: TablesConfig,
    /// Limits of a query.
    #[serde(default)]
    pub query: QueryConfig,
    /// How much is taken from callers and files; each has a default that most companies never reach.
    #[serde(default)]
    pub limits: Limits,
    /// How long people stay signed in.
    #[serde(default)]
    pub sessions: SessionSettings,
    /// What may be called over HTTP.
    #[serde(default)]
    pub outbound: OutboundSpec,
    /// How other programs watch this server.
    #[serde(default)]
    pub monitoring: MonitoringConfig,
    /// Name → whom rules can tell, and how.
    #[serde(default)]
    pub channels: BTreeMap<String, ChannelSpec>,
}

/// Who runs this and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Name shown to readers.
    pub name: Title,
    /// Zone of days, weeks and schedules, such as `Asia/Shanghai`.
    #[serde(default)]
    pub timezone: Timezone,
    /// Language of readers who chose none.
    #[serde(default)]
    pub locale: Locale,
    /// First day of a week.
    #[serde(default)]
    pub week_start: WeekStart,
    /// Month in which the fiscal year begins, 1 to 12.
    #[serde(default = "january")]
    #[schemars(range(min = 1, max = 12))]
    pub fiscal_month: u8,
}

/// Language of readers who chose none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Locale {
    #[default]
    Zh,
    En,
}

/// First day of a week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WeekStart {
    #[default]
    Monday,
    Saturday,
    Sunday,
}

/// Where accounts, jobs, alerts and the audit trail live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataConfig {
    /// Database file, relative to the project folder.
    pub path: PathBuf,
}

/// Limits of a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueryConfig {
    /// Memory of all running queries together, in MiB; what does not fit goes to disk.
    pub memory_mib: usize,
    /// A query that takes longer is stopped.
    pub timeout: Span,
}

/// How long what is no longer in a table stays, for readers and for going back: by age and by room, whichever comes
/// first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TablesConfig {
    pub retention: RetentionConfig,
}

/// By age and by room, whichever comes first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Earlier versions stay so long at most.
    pub age: Span,
    /// A table with its earlier versions takes so many times its own bytes at most; 1 keeps the present one only.
    #[schemars(range(min = 1))]
    pub times_live: u32,
}

/// How other programs watch this server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MonitoringConfig {
    /// Reference to the token that Prometheus sends to read `/metrics` (`authorization: { credentials: … }`
    /// in its scrape configuration). Without one, only people who may read `system` tables do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
}

/// A time zone of the IANA database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timezone(pub Tz);

fn local_data() -> StoreSpec {
    StoreSpec::Local { path: "data".into() }
}

fn this_machine() -> String {
    "127.0.0.1:8080".into()
}

/// An address and port that can be listened at; `localhost` is written as its address.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.replace("localhost:", "127.0.0.1:").parse::<SocketAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(de::Error::custom(format!(
            "`{text}` is not an address and port; write 127.0.0.1:8080, or 0.0.0.0:8080 for all addresses"
        ))),
    }
}

fn january() -> u8 {
    1
}

impl Default for MetadataConfig {
    fn default() -> Self {
        Self { path: ".guanlan/metadata.db".into() }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        let Retention { age, times_live } = Retention::default();
        Self { age: Span(age), times_live }
    }
}

impl Default for QueryConfig {
    fn default() -> Self {
        Self { memory_mib: 1024, timeout: Span(Duration::from_secs(60)) }
    }
}

impl Default for Timezone {
    fn default() -> Self {
        Self(Tz::Asia__Shanghai)
    }
}

impl Config {
    /// Values that can be read but cannot work.
    pub fn check(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        if !(1..=12).contains(&self.site.fiscal_month) {
            let problem = Problem::new("`fiscal_month` must be a month from 1 to 12");
            found.push(problem.at_key("site").at_key("fiscal_month").hint("fiscal_month: 1"));
        }
        if self.query.memory_mib < 64 {
            let problem = Problem::new("queries need at least 64 MiB of memory");
            found.push(problem.at_key("query").at_key("memory_mib").hint("memory_mib: 1024"));
        }
        if self.tables.retention.times_live == 0 {
            let problem = Problem::new("a table takes at least the room of its present version");
            let problem = problem.at_key("tables").at_key("retention").at_key("times_live");
            found.push(problem.hint("tables: { retention: { age: 24h, times_live: 3 } }"));
        }
        if self.query.timeout.0.is_zero() {
            let problem = Problem::new("no query ends in no time");
            found.push(problem.at_key("query").at_key("timeout").hint("timeout: 60s"));
        }
        if self.sessions.idle.0.is_zero() || self.sessions.idle.0 > self.sessions.max.0 {
            let problem = Problem::new("`idle` must be longer than zero and at most `max`");
            found.push(problem.at_key("sessions").hint("sessions: { idle: 8h, max: 7d }"));
        }
        let unlike = |url: &&String| !Url::parse(url).is_ok_and(|u| matches!(u.scheme(), "http" | "https"));
        if let Some(url) = self.public_url.as_ref().filter(unlike) {
            let problem = Problem::new(format!("`{url}` is not an address of the web"));
            found.push(problem.at_key("public_url").hint("public_url: https://guanlan.example.com"));
        }
        if let Err(why) = self.may_listen(&self.listen) {
            found.push(Problem::new(why).at_key("listen"));
        }
        for name in self.channels.keys().filter(|name| !crate::project::is_name(name)) {
            let problem = Problem::new(format!("`{name}` cannot name a channel"));
            let hint = "use lower-case letters, digits and _, starting with a letter";
            found.push(problem.at_key("channels").at_key(name).hint(hint));
        }
        for (name, channel) in &self.channels {
            let step = |key: &str| store::Step::Key(key.to_owned());
            let problems = rules::check_channel(channel).into_iter();
            found.extend(problems.map(|p| p.within(step(name)).within(step("channels"))));
        }
        found
    }

    /// Passwords and sessions do not cross a network in the clear unless someone said so.
    ///
    /// # Errors
    /// What to write, when `address` is reached from other machines and there is no TLS.
    pub fn may_listen(&self, address: &str) -> Result<(), String> {
        let here = address.parse::<SocketAddr>().is_ok_and(|a| a.ip().to_canonical().is_loopback());
        match here || self.tls.is_some() || self.insecure {
            true => Ok(()),
            false => Err(format!(
                "listening on {address} without TLS would send passwords over the network in the clear; write \
                 `tls: {{ certificate: server.pem, key: server.key }}`, or `insecure: true` behind a proxy that encrypts"
            )),
        }
    }

    /// Readers come over https: by our own TLS, or by a proxy's as `public_url` says.
    pub fn encrypted(&self) -> bool {
        self.tls.is_some() || self.public_url.as_ref().is_some_and(|u| u.starts_with("https:"))
    }

    /// Whether a part that is built once at the start would be built differently with `new`. Channels and
    /// the site's name and language are read each time they are needed.
    pub fn needs_restart(&self, new: &Config) -> bool {
        let fixed = |config: &Config| {
            let site = &config.site;
            let site = json!([site.timezone, site.week_start, site.fiscal_month]);
            json!([
                site,
                config.store,
                config.metadata,
                config.listen,
                config.tls,
                config.insecure,
                config.public_url,
                config.trusted_proxies,
                config.query,
                config.tables,
                config.limits,
                config.sessions,
                config.outbound
            ])
        };
        fixed(self) != fixed(new)
    }

    /// All settings with their defaults as YAML, secrets as references.
    pub fn show(&self) -> String {
        let value = serde_json::to_value(self);
        let value = value.expect("a configuration is made of texts, numbers and maps with text keys");
        let mut out = String::new();
        write_yaml(&value, 0, &mut out);
        out
    }
}

fn write_yaml(value: &Value, depth: usize, out: &mut String) {
    let Value::Object(entries) = value else { return };
    for (key, value) in entries {
        let indent = "  ".repeat(depth);
        match value {
            Value::Null => {}
            Value::Object(inner) if !inner.is_empty() => {
                out.push_str(&format!("{indent}{}:\n", scalar(key)));
                write_yaml(value, depth + 1, out);
            }
            // JSON is YAML: lists, numbers and empty maps stay as they are.
            Value::String(text) => out.push_str(&format!("{indent}{}: {}\n", scalar(key), scalar(text))),
            other => out.push_str(&format!("{indent}{}: {other}\n", scalar(key))),
        }
    }
}

/// A text that YAML cannot read as anything else stays bare.
fn scalar(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-');
    let word = text.chars().all(word) && text.starts_with(|c: char| c.is_ascii_alphabetic());
    let taken = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if word && !taken.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    Value::from(text).to_string()
}

impl<'de> Deserialize<'de> for Timezone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| {
            let zones = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
            let hint = match store::nearest(&text, zones) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write a name such as Asia/Shanghai or Europe/Berlin".into(),
            };
            de::Error::custom(format!("there is no time zone `{text}`; {hint}"))
        })
    }
}

impl Serialize for Timezone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl JsonSchema for Timezone {
    fn schema_name() -> Cow<'static, str> {
        "Timezone".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "examples": ["Asia/Shanghai", "UTC"]})
    }
}
