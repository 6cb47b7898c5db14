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

use crate::address::{masked, shown};
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
    /// Nobody there, or overloaded: try again, not before the other side's wish.
    Later {
        after: Option<Duration>,
        error: String,
    },
    /// The receiver takes this message not now (a right or an address that may be put right); others it may take.
    NotNow {
        error: String,
    },
    /// The receiver will never take this message: trying again would change nothing.
    Refused {
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
    let url = match spec.url.resolve(base) {
        Ok(url) => url,
        Err(error) => return later(error),
    };
    let signature = match sign(secret.trim(), id, at, body) {
        Ok(signature) => signature,
        Err(error) => return later(format!("{}: {error}", spec.secret)),
    };
    let request = Request::post(url.clone(), body.to_owned())
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", at.timestamp().to_string())
        .header("webhook-signature", signature);
    match outbound.send(request).await {
        Ok(reply) => judged(reply, &url, at),
        // Even an address that is not allowed may be allowed by tomorrow: a message is not lost to a setting.
        Err(OutboundError::Later { why, .. } | OutboundError::Never(why) | OutboundError::Refused(why)) => {
            later(masked(&why, &url))
        }
    }
}

/// Only 2xx is success. 410 says: never again. 408, 425, 429, 5xx and redirects are the channel's fault and may
/// pass. Every other 4xx is about this message: what names rights or addresses (401, 403, 404, 407) may be put
/// right in time, the rest will never be taken.
fn judged(reply: Reply, url: &str, at: Timestamp) -> Attempt {
    let status = reply.status;
    let kept = &reply.body[..reply.body.len().min(RESPONSE_BYTES)];
    let response = masked(&String::from_utf8_lossy(kept), url);
    let after = reply.header("retry-after").and_then(|text| wish(text, at));
    let redirect = reply.header("location").map(shown).unwrap_or_else(|| "nowhere".to_owned());
    let outcome = match (reply.success(), status) {
        (Ok(_), _) => Outcome::Accepted,
        (Err(_), 300..=399) => Outcome::Later {
            after,
            error: format!(
                "the other side answered {status} and wants to redirect to {redirect}; redirects are not followed: \
                 give the channel the final address"
            ),
        },
        (Err(_), 410) => Outcome::Gone {
            error: "the receiver answered 410: it wants nothing more at this address; give the channel another url, \
                    or run `guanlan channel reopen` when it takes messages again"
                .to_owned(),
        },
        (Err(error), 401 | 403 | 404 | 407) => Outcome::NotNow { error: masked(&error.to_string(), url) },
        (Err(_), 400..=499) if !matches!(status, 408 | 425 | 429) => Outcome::Refused {
            error: format!(
                "the other side answered {status}: it does not take this message; see its answer, and send it again \
                 with `guanlan delivery resend` when it would"
            ),
        },
        (Err(error), _) => Outcome::Later { after, error: masked(&error.to_string(), url) },
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

    #[test]
    fn an_answer_says_whose_the_fault_is() {
        let url = "https://h.example.com/hook/abcdefgh12345";
        let outcome = |status: u16, headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let body = b"no /hook/abcdefgh12345 here".to_vec().into();
            judged(Reply { status, headers, body }, url, Timestamp::UNIX_EPOCH)
        };
        for status in [408, 425, 429, 500, 502, 503, 301, 308] {
            let attempt = outcome(status, &[("location", "https://h.example.com/hook/abcdefgh12345/")]);
            assert!(matches!(attempt.outcome, Outcome::Later { .. }), "{status}");
            assert!(!format!("{attempt:?}").contains("abcdefgh12345"), "{attempt:?}");
        }
        for status in [400, 402, 405, 406, 409, 411, 413, 415, 422, 431, 451, 499] {
            assert!(matches!(outcome(status, &[]).outcome, Outcome::Refused { .. }), "{status}");
        }
        for status in [401, 403, 404, 407] {
            assert!(matches!(outcome(status, &[]).outcome, Outcome::NotNow { .. }), "{status}");
        }
        assert!(matches!(outcome(410, &[]).outcome, Outcome::Gone { .. }));
        assert!(matches!(outcome(204, &[]).outcome, Outcome::Accepted));
    }

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
