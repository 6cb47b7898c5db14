//! Which legacy encoding a text is in, told by how common its characters would be.
//!
//! Two-byte encodings share their byte ranges, so nearly every text decodes in several of them. What tells
//! is frequency: each standard has a first level of everyday characters, and text read in the wrong
//! encoding falls outside it.

use std::collections::HashSet;

use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GB18030, SHIFT_JIS, UTF_8, WINDOWS_1252};

/// How much text is weighed.
const WEIGHED: usize = 64 << 10;
/// Fewer characters prove nothing.
const FEW: usize = 4;
/// So many different everyday characters of one encoding are no accident.
const DIFFERENT: usize = 6;

/// The likeliest encoding, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Guess {
    pub(super) encoding: &'static Encoding,
    pub(super) runner_up: Option<&'static Encoding>,
    /// Characters outside ASCII that it was told from.
    pub(super) characters: usize,
    pub(super) sure: bool,
}

/// Characters weighed in one encoding.
#[derive(Default)]
struct Weight {
    sum: f64,
    characters: usize,
    malformed: usize,
}

impl Weight {
    fn add(&mut self, common: f64) {
        self.sum += common;
        self.characters += 1;
    }

    /// From 0 (foreign) to 1 (everyday text); a malformed byte weighs four characters.
    fn score(&self) -> f64 {
        self.sum / (self.characters + 4 * self.malformed).max(1) as f64
    }
}

/// Guesses from a sample that is not plain UTF-8.
pub(super) fn guess(sample: &[u8]) -> Guess {
    let sample = &sample[..sample.len().min(WEIGHED)];
    let chinese = pairs(sample, 0x81..=0xFE, gb);
    let mut ranked = [
        (GB18030, chinese.score()),
        (BIG5, pairs(sample, 0xA1..=0xF9, big5).score()),
        (UTF_8, utf8(sample)),
        (WINDOWS_1252, latin(sample)),
        (SHIFT_JIS, shift_jis(sample).score()),
        // Their everyday ranges lie within that of GB 2312: only clear signs speak for them.
        (EUC_KR, if is_korean(sample) { 1.01 } else { 0.0 }),
        (EUC_JP, if is_japanese(sample) { 1.01 } else { 0.0 }),
    ];
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (best, score) = ranked[0];
    let second = ranked[1];
    let highs = sample.iter().filter(|b| !b.is_ascii()).count();
    if score < 0.3 {
        // Rare characters, or bytes that are no text.
        let whole = chinese.malformed == 0 && chinese.characters > 0;
        let (encoding, next) = if whole { (GB18030, BIG5) } else { (UTF_8, best) };
        let characters = if whole { chinese.characters } else { highs };
        return Guess { encoding, runner_up: Some(next).filter(|e| *e != encoding), characters, sure: false };
    }
    let characters = match best {
        e if e == WINDOWS_1252 => highs,
        _ => chinese.characters.max(1),
    };
    // Everyday Chinese in GB 2312 decodes in Big5 as well, not the other way round: each character of a Big5
    // text has one chance in three to be an everyday one there.
    let plain = best == GB18030 && score >= 0.95 && different(sample) >= DIFFERENT;
    let sure = plain || (characters >= FEW && score >= 0.8 && score - second.1.min(1.0) >= 0.15);
    let runner_up = (second.1 > 0.0).then_some(second.0);
    Guess { encoding: best, runner_up, characters, sure: sure && best != WINDOWS_1252 }
}

/// Weighs an encoding of ASCII and pairs; `common` answers `None` for a trail byte that cannot follow.
fn pairs(sample: &[u8], leads: std::ops::RangeInclusive<u8>, common: fn(u8, u8) -> Option<f64>) -> Weight {
    let (mut at, mut weight) = (0, Weight::default());
    while at < sample.len() {
        let lead = sample[at];
        if lead.is_ascii() {
            at += 1;
            continue;
        }
        let Some(trail) = sample.get(at + 1).copied() else { break };
        match leads.contains(&lead).then(|| common(lead, trail)).flatten() {
            Some(part) => {
                weight.add(part);
                at += 2;
            }
            None => {
                weight.malformed += 1;
                at += 1;
            }
        }
    }
    weight
}

fn gb(lead: u8, trail: u8) -> Option<f64> {
    match (lead, trail) {
        // The first half of a character of four bytes, and its second.
        (_, 0x30..=0x39) => Some(0.1),
        (0xA1..=0xA3, 0xA1..=0xFE) | (0xB0..=0xD7, 0xA1..=0xFE) => Some(1.0),
        (0xD8..=0xF7, 0xA1..=0xFE) => Some(0.5),
        (_, 0x40..=0x7E | 0x80..=0xFE) => Some(0.0),
        _ => None,
    }
}

fn big5(lead: u8, trail: u8) -> Option<f64> {
    match (lead, trail) {
        (_, 0x00..=0x3F | 0x7F..=0xA0 | 0xFF) => None,
        (0xA4..=0xC5, _) | (0xC6, 0x40..=0x7E) | (0xA1..=0xA3, _) => Some(1.0),
        (0xC9..=0xF9, _) => Some(0.3),
        _ => Some(0.0),
    }
}

fn shift_jis(sample: &[u8]) -> Weight {
    let (mut at, mut weight) = (0, Weight::default());
    while at < sample.len() {
        let (lead, trail) = (sample[at], sample.get(at + 1).copied());
        let (bytes, part) = match (lead, trail) {
            (0x00..=0x7F, _) => (1, None),
            // Katakana of half width: rare, and what other encodings look like.
            (0xA1..=0xDF, _) => (1, Some(0.1)),
            (0x81..=0x9F | 0xE0..=0xFC, Some(0x40..=0x7E | 0x80..=0xFC)) => {
                let common = match lead {
                    0x81..=0x83 | 0x88..=0x97 => 1.0,
                    0x98..=0x9F | 0xE0..=0xEA => 0.3,
                    _ => 0.0,
                };
                (2, Some(common))
            }
            _ => {
                weight.malformed += 1;
                (1, None)
            }
        };
        at += bytes;
        part.into_iter().for_each(|p| weight.add(p));
    }
    weight
}

/// Accented letters stand alone between ASCII ones.
fn latin(sample: &[u8]) -> f64 {
    let high = |at: usize| sample.get(at).is_some_and(|b| !b.is_ascii());
    let (mut alone, mut all) = (0usize, 0usize);
    for at in (0..sample.len()).filter(|at| high(*at)) {
        all += 1;
        let letter = sample[at] >= 0xC0 || matches!(sample[at], 0x80 | 0x91..=0x97 | 0xA3 | 0xA7 | 0xB0);
        let neighbours = (at > 0 && high(at - 1)) || high(at + 1);
        alone += usize::from(letter && !neighbours);
    }
    alone as f64 / all.max(1) as f64 * 0.95
}

/// UTF-8 with some damage.
fn utf8(sample: &[u8]) -> f64 {
    let (mut good, mut bad) = (0usize, 0usize);
    for chunk in sample.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    good as f64 / (good + 4 * bad).max(1) as f64
}

/// Different pairs of a sample, up to the number that matters.
fn different(sample: &[u8]) -> usize {
    let (mut at, mut found) = (0, HashSet::new());
    while at + 1 < sample.len() && found.len() < DIFFERENT {
        if sample[at].is_ascii() {
            at += 1;
        } else {
            found.insert((sample[at], sample[at + 1]));
            at += 2;
        }
    }
    found.len()
}

fn distinct(sample: &[u8]) -> Option<HashSet<(u8, u8)>> {
    let (mut at, mut found) = (0, HashSet::new());
    while at < sample.len() {
        if sample[at].is_ascii() {
            at += 1;
            continue;
        }
        let pair = (sample[at], *sample.get(at + 1)?);
        if pair.0 < 0xA1 || pair.1 < 0xA1 {
            return None;
        }
        found.insert(pair);
        at += 2;
    }
    Some(found)
}

/// A dozen different syllables, all of them Hangul: Chinese text would use the rest of the range as well.
fn is_korean(sample: &[u8]) -> bool {
    distinct(sample).is_some_and(|found| {
        let letters: Vec<_> = found.iter().filter(|p| p.0 >= 0xB0).collect();
        letters.len() >= 12 && letters.iter().all(|p| p.0 <= 0xC8) && !found.iter().any(|p| p.0 == 0xA4)
    })
}

/// Kana between the ideographs.
fn is_japanese(sample: &[u8]) -> bool {
    distinct(sample).is_some_and(|found| {
        let kana = found.iter().filter(|p| matches!(p.0, 0xA4 | 0xA5)).count();
        kana >= 3 && kana * 5 >= found.len()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyday_texts_are_told_apart() {
        let cases = [
            (GB18030, "编号,金额,部门\n1,100.50,销售部\n2,研发部"),
            (BIG5, "編號,部門\n1,財務部\n2,資訊處\n"),
            (SHIFT_JIS, "番号,部署\n1,営業部のひと\n2,カタカナ"),
            (EUC_JP, "番号,部署\n1,営業部のひとたち\n2,カタカナ"),
            (EUC_KR, "번호,부서,이름\n1,영업부,김철수\n2,개발부,이영희\n3,인사관리"),
            (WINDOWS_1252, "id,name\n1,café\n2,Müller\n3,Señor Núñez\n"),
        ];
        for (encoding, text) in cases {
            let found = guess(&encoding.encode(text).0);
            assert_eq!(found.encoding, encoding, "{text} {found:?}");
        }
    }

    #[test]
    fn a_guess_from_little_is_not_sure_and_damage_does_not_change_the_encoding() {
        assert!(!guess(&GB18030.encode("id,a\n1,王\n").0).sure);
        assert!(guess(&GB18030.encode("编号,金额,部门\n1,2,销售部").0).sure);
        // In Big5 these are everyday characters, too.
        assert!(guess(&GB18030.encode(&format!("编号,摘要\n{}", "1,付款\n".repeat(50))).0).sure);
        assert!(!guess(&GB18030.encode(&"1,付款\n".repeat(50)).0).sure);
        let mut damaged = "编号,金额,部门\n1,2,销售部\n".repeat(20).into_bytes();
        damaged.extend(b"3,4,\xe9\x94\n");
        assert_eq!(guess(&damaged).encoding, UTF_8);
        assert_eq!(guess(b"id,v\n1,\xff\xfe\xff\n").encoding, UTF_8);
    }
}
