//! Webhooks after the Standard Webhooks specification (standardwebhooks.com): `webhook-id` is the same
//! on every attempt, `webhook-timestamp` is that of the attempt, `webhook-signature` is
//! `v1,` + base64(HMAC-SHA256(secret, "id.timestamp.body")).

use std::path::Path;
use std::time::Duration;

use access::{Outbound, OutboundError, Reply, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use store::Timestamp;

use crate::spec::WebhookSpec;

/// Waits before the second and each further attempt, as the specification recommends.
const DELAYS_S: [u64; 9] =
    [5, 5 * 60, 30 * 60, 2 * 3_600, 5 * 3_600, 10 * 3_600, 14 * 3_600, 20 * 3_600, 24 * 3_600];
/// The longest wait that a receiver is granted at once.
const LONGEST_WISH: Duration = Duration::from_secs(24 * 3_600);
/// How much of a response is kept for people to read.
const RESPONSE_BYTES: usize = 2_048;

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) status: Option<u16>,
    pub(crate) response: String,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    /// Try again, not before the other side's wish.
    Later {
        after: Option<Duration>,
        error: String,
    },
    /// The receiver wants nothing more at this address.
    Gone {
        error: String,
    },
}

/// Posts one message.
pub(crate) async fn send(
    spec: &WebhookSpec,
    base: &Path,
    outbound: &Outbound,
    id: &str,
    at: Timestamp,
    body: &str,
) -> Attempt {
    let later = |error: String| Attempt {
        status: None,
        response: String::new(),
        outcome: Outcome::Later { after: None, error },
    };
    // A secret that cannot be read now (a file being replaced, a variable to be set) may be there later.
    let secret = match spec.secret.resolve(base) {
        Ok(secret) => secret,
        Err(error) => return later(error.to_string()),
    };
    let signature = match sign(secret.trim(), id, at, body) {
        Ok(signature) => signature,
        Err(error) => return later(format!("{}: {error}", spec.secret)),
    };
    let request = Request::post(spec.url.clone(), body.to_owned())
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", at.timestamp().to_string())
        .header("webhook-signature", signature);
    match outbound.send(request).await {
        Ok(reply) => judged(reply, at),
        // Even an address that is not allowed may be allowed by tomorrow: a message is not lost to a setting.
        Err(OutboundError::Later { why, .. } | OutboundError::Never(why) | OutboundError::Refused(why)) => {
            later(why)
        }
    }
}

/// Only 2xx is success. 410 says: never again. Everything else may be a passing fault, even a 404 while
/// the receiver is deployed.
fn judged(reply: Reply, at: Timestamp) -> Attempt {
    let status = reply.status;
    let kept = &reply.body[..reply.body.len().min(RESPONSE_BYTES)];
    let response = String::from_utf8_lossy(kept).into_owned();
    let after = reply.header("retry-after").and_then(|text| wish(text, at));
    let outcome = match reply.success() {
        Ok(_) => Outcome::Accepted,
        Err(_) if status == 410 => Outcome::Gone {
            error: "the receiver answered 410: it wants nothing more at this address; give the channel another url"
                .to_owned(),
        },
        Err(error) => Outcome::Later { after, error: error.to_string() },
    };
    Attempt { status: Some(status), response, outcome }
}

/// Retry-After: seconds or an HTTP date; nothing beyond a day is believed.
fn wish(text: &str, at: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (DateTime::parse_from_rfc2822(text).ok()?.to_utc() - at).to_std().ok()?,
    };
    Some(wait.min(LONGEST_WISH))
}

/// The wait after failed attempt `attempt` (counted from 1); `None` when there are no more.
pub(crate) fn delay(spec: &WebhookSpec, attempt: u32) -> Option<Duration> {
    let n = attempt.max(1) as usize - 1;
    match &spec.retry {
        Some(own) => own.get(n).map(|span| span.0),
        None => DELAYS_S.get(n).map(|s| Duration::from_secs(*s)),
    }
}

/// The signature header of a message.
///
/// # Errors
/// The secret is not `whsec_` and base64.
pub fn sign(secret: &str, id: &str, at: Timestamp, body: &str) -> Result<String, String> {
    let wrong = || {
        "the secret is not `whsec_` followed by base64; make one with: echo whsec_$(openssl rand -base64 32)"
            .to_owned()
    };
    let key = STANDARD.decode(secret.strip_prefix("whsec_").ok_or_else(wrong)?).map_err(|_| wrong())?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| wrong())?;
    mac.update(format!("{id}.{}.{body}", at.timestamp()).as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own documentation and libraries.
    #[test]
    fn the_published_example_is_signed_alike() {
        let at = Timestamp::from_timestamp(1_614_265_330, 0).unwrap();
        let signed = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            at,
            "{\"test\": 2432232314}",
        );
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_receiver_may_ask_for_a_wait_in_seconds_or_until_a_date() {
        let at = "2026-03-02T01:00:00Z".parse().unwrap();
        assert_eq!(wish("120", at), Some(Duration::from_secs(120)));
        assert_eq!(wish("Mon, 02 Mar 2026 01:01:30 GMT", at), Some(Duration::from_secs(90)));
        assert_eq!(wish("Mon, 02 Mar 2026 00:00:00 GMT", at), None, "that is over");
        assert_eq!(wish("99999999", at), Some(LONGEST_WISH));
        assert_eq!(wish("soon", at), None);
    }

    #[test]
    fn a_secret_of_another_form_says_how_to_make_one() {
        assert!(sign("hunter2", "id", Timestamp::UNIX_EPOCH, "").unwrap_err().contains("openssl rand"));
    }
}
