//! JSON values as they were written: numbers keep their digits, and only what is asked for is built.
//!
//! A value is a slice of its text. [`length`] proves once that the text is JSON; the others then walk it without
//! recursion, so that neither depth nor size costs memory. `NaN`, `Infinity` and `-Infinity`, which Python and
//! JavaScript write and JSON does not know, are read as numbers and marked as odd.

use std::borrow::Cow;

/// Objects and arrays inside one another.
const DEPTH: usize = 512;

/// What is wrong with a text, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Byte of the text.
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at character {}", self.what, self.at + 1)
    }
}

/// One value: its text without white space around it, and whether a number in it is one that JSON does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Raw<'t> {
    pub(crate) text: &'t str,
    pub(crate) odd: bool,
}

impl<'t> Raw<'t> {
    /// The whole text as one value.
    ///
    /// # Errors
    /// It is no JSON, or something follows the value.
    pub(crate) fn parse(text: &'t str) -> Result<Raw<'t>, Fault> {
        let mut scan = Scan::new(text.as_bytes());
        scan.space();
        let from = scan.at;
        scan.value()?;
        let value = Raw { text: &text[from..scan.at], odd: scan.odd };
        scan.space();
        match scan.peek() {
            None => Ok(value),
            Some(_) => Err(scan.fault("something follows the value")),
        }
    }

    pub(crate) fn is_object(&self) -> bool {
        self.text.starts_with('{')
    }

    /// Its text as it lands: `None` for null, a string without quotes, a number or boolean as written, an object or
    /// array as JSON without white space.
    pub(crate) fn landed(&self) -> Option<Cow<'t, str>> {
        match self.text.as_bytes().first() {
            Some(b'n') => None,
            Some(b'"') => Some(unescaped(self.text)),
            Some(b'{' | b'[') => Some(compact(self.text)),
            _ => Some(Cow::Borrowed(self.text)),
        }
    }

    /// Visits the fields of an object in order; nothing for other values.
    pub(crate) fn fields(&self, visit: &mut dyn FnMut(Cow<'t, str>, Raw<'t>)) {
        self.inside(b'{', &mut |key, value| visit(key.map(unescaped).unwrap_or_default(), value));
    }

    /// Visits the elements of an array in order; nothing for other values.
    pub(crate) fn elements(&self, visit: &mut dyn FnMut(Raw<'t>)) {
        self.inside(b'[', &mut |_, value| visit(value));
    }

    /// The value of a field; the last one where the field stands twice.
    pub(crate) fn get(&self, field: &str) -> Option<Raw<'t>> {
        let mut found = None;
        self.fields(&mut |key, value| {
            if key == field {
                found = Some(value);
            }
        });
        found
    }

    /// The value at a path of fields.
    pub(crate) fn find(&self, path: &[String]) -> Option<Raw<'t>> {
        path.iter().try_fold(*self, |at, step| at.get(step))
    }

    fn inside(&self, open: u8, visit: &mut dyn FnMut(Option<&'t str>, Raw<'t>)) {
        let mut scan = Scan::new(self.text.as_bytes());
        if scan.take() != Some(open) {
            return;
        }
        // The text has been proven to be JSON: a fault cannot come, and would end the walk.
        while let Ok(Some((key, value))) = scan.member(self.text, open == b'{') {
            visit(key, value);
        }
    }
}

/// The name of a field, still in quotes, and its value.
type Member<'t> = (Option<&'t str>, Raw<'t>);

struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    odd: bool,
}

impl<'t> Scan<'t> {
    fn new(text: &'t [u8]) -> Self {
        Scan { text, at: 0, odd: false }
    }

    fn fault(&self, what: &'static str) -> Fault {
        Fault { at: self.at, what }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The next field or element of an object or array whose opening bracket has been taken.
    fn member(&mut self, text: &'t str, named: bool) -> Result<Option<Member<'t>>, Fault> {
        self.space();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.space();
        }
        if matches!(self.peek(), None | Some(b'}' | b']')) {
            return Ok(None);
        }
        let mut key = None;
        if named {
            let from = self.at;
            self.string()?;
            key = Some(&text[from..self.at]);
            self.space();
            self.take();
            self.space();
        }
        let from = self.at;
        self.odd = false;
        self.value()?;
        Ok(Some((key, Raw { text: &text[from..self.at], odd: self.odd })))
    }

    /// One value, whatever is inside it.
    fn value(&mut self) -> Result<(), Fault> {
        let mut open: Vec<u8> = Vec::new();
        loop {
            if open.len() > DEPTH {
                return Err(self.fault("nested deeper than 512"));
            }
            self.space();
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    self.space();
                    if self.peek() == Some(b'}') {
                        self.at += 1;
                    } else {
                        self.key()?;
                        open.push(b'}');
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    self.space();
                    if self.peek() == Some(b']') {
                        self.at += 1;
                    } else {
                        open.push(b']');
                        continue;
                    }
                }
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(_) => self.word()?,
                None => return Err(self.fault("the text ends in the middle")),
            }
            if !self.behind(&mut open)? {
                return Ok(());
            }
        }
    }

    /// What follows a value; whether another value has to come.
    fn behind(&mut self, open: &mut Vec<u8>) -> Result<bool, Fault> {
        while let Some(close) = open.last().copied() {
            self.space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if close == b'}' {
                        self.space();
                        self.key()?;
                    }
                    return Ok(true);
                }
                Some(byte) if byte == close => {
                    self.at += 1;
                    open.pop();
                }
                None => return Err(self.fault("the text ends in the middle")),
                Some(_) if close == b'}' => return Err(self.fault("expected , or }")),
                Some(_) => return Err(self.fault("expected , or ]")),
            }
        }
        Ok(false)
    }

    fn key(&mut self) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("expected a field name in double quotes"));
        }
        self.string()?;
        self.space();
        match self.take() {
            Some(b':') => Ok(()),
            _ => Err(Fault { at: self.at.saturating_sub(1), what: "expected : behind a field name" }),
        }
    }

    fn string(&mut self) -> Result<(), Fault> {
        if self.take() != Some(b'"') {
            return Err(Fault { at: self.at.saturating_sub(1), what: "expected a text in double quotes" });
        }
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len());
            self.at += plain;
            match self.take() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => self.escape()?,
                Some(_) => {
                    return Err(Fault { at: self.at - 1, what: "a control character inside a text" });
                }
                None => return Err(self.fault("a text is never closed")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let wrong = Fault { at: self.at, what: "an escape that JSON does not know" };
        match self.take() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => {
                let first = self.hex().ok_or(wrong)?;
                match first {
                    0xDC00..=0xDFFF => Err(wrong),
                    0xD800..=0xDBFF => {
                        let pair = self.take() == Some(b'\\') && self.take() == Some(b'u');
                        match self.hex().filter(|second| pair && (0xDC00..=0xDFFF).contains(second)) {
                            Some(_) => Ok(()),
                            None => Err(wrong),
                        }
                    }
                    _ => Ok(()),
                }
            }
            _ => Err(wrong),
        }
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |sum, b| Some(sum * 16 + char::from(*b).to_digit(16)?))
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
            if self.peek() == Some(b'I') {
                return self.word();
            }
        }
        let whole = self.digits();
        if whole == 0 || (whole > 1 && self.text[self.at - whole] == b'0') {
            return Err(self.fault("not a number"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.fault("not a number"));
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.fault("not a number"));
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - from
    }

    fn word(&mut self) -> Result<(), Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let words: [(&[u8], bool); 5] =
            [(b"null", false), (b"true", false), (b"false", false), (b"NaN", true), (b"Infinity", true)];
        match words.iter().find(|(word, _)| rest.starts_with(word)) {
            Some((word, odd)) if !rest.get(word.len()).is_some_and(u8::is_ascii_alphanumeric) => {
                self.at += word.len();
                self.odd |= odd;
                Ok(())
            }
            _ => Err(self.fault("not a JSON value")),
        }
    }
}

/// A text in double quotes, without them and its escapes.
fn unescaped(quoted: &str) -> Cow<'_, str> {
    let inner = quoted.strip_prefix('"').and_then(|s| s.strip_suffix('"')).unwrap_or(quoted);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    serde_json::from_str::<String>(quoted).map_or(Cow::Borrowed(inner), Cow::Owned)
}

/// An object or array without the white space between its parts; escaped letters are written out.
fn compact(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b'\\')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut scan = Scan::new(bytes);
    while scan.at < bytes.len() {
        let from = scan.at;
        match bytes[from] {
            b'"' if scan.string().is_ok() => {
                let quoted = &text[from..scan.at];
                match unescaped(quoted) {
                    Cow::Borrowed(_) => out.push_str(quoted),
                    Cow::Owned(plain) => {
                        out.push_str(&serde_json::to_string(&plain).unwrap_or_else(|_| quoted.to_owned()));
                    }
                }
            }
            b' ' | b'\t' | b'\n' | b'\r' => scan.at = from + 1,
            // Outside texts JSON is ASCII.
            byte => {
                out.push(char::from(byte));
                scan.at = from + 1;
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn landed(text: &str) -> Option<String> {
        Raw::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).landed().map(Cow::into_owned)
    }

    #[test]
    fn values_land_as_they_were_written() {
        let cases = [
            ("1.10", "1.10"),
            (" 123456789012345678901 ", "123456789012345678901"),
            ("1e400", "1e400"),
            ("-0.0", "-0.0"),
            ("true", "true"),
            (r#""a\u738b\n\"""#, "a王\n\""),
            (r#"[1, 2.50 ,{"a" : "\u738b b"}]"#, r#"[1,2.50,{"a":"王 b"}]"#),
            (r#"{"a":[]}"#, r#"{"a":[]}"#),
            ("NaN", "NaN"),
            ("-Infinity", "-Infinity"),
        ];
        for (text, wanted) in cases {
            assert_eq!(landed(text).as_deref(), Some(wanted), "{text}");
        }
        assert_eq!(landed("null"), None);
        assert!(Raw::parse("[1, NaN]").unwrap().odd && !Raw::parse("[\"NaN\"]").unwrap().odd);
    }

    #[test]
    fn what_is_no_json_is_told_by_its_place() {
        let cases = [
            ("", 0),
            ("{\"id\": 4,}", 9),
            ("[1 2]", 3),
            ("01", 2),
            ("1.", 2),
            ("nul", 0),
            ("\"a\nb\"", 2),
            ("\"\\ud800\"", 2),
            ("{a:1}", 1),
            ("1 2", 2),
            ("[1,]", 3),
            ("NaNa", 0),
        ];
        for (text, at) in cases {
            assert_eq!(Raw::parse(text).map_err(|f| f.at), Err(at), "{text}");
        }
        assert!(Raw::parse(&"[".repeat(10_000_000)).unwrap_err().what.contains("512"));
        assert!(Raw::parse(&r#"{"a":"#.repeat(1_000_000)).unwrap_err().what.contains("512"));
    }

    #[test]
    fn fields_and_paths_are_found_in_the_text() {
        let value =
            Raw::parse(r#"{ "data" : {"items":[ {"id":1} , 2]}, "a\u0062" : null, "x":1, "x":2 }"#).unwrap();
        let mut keys = Vec::new();
        value.fields(&mut |key, value| keys.push(format!("{key}={}", value.text)));
        assert_eq!(keys[1..], ["ab=null", "x=1", "x=2"]);
        let items = value.find(&["data".into(), "items".into()]).unwrap();
        let mut elements = Vec::new();
        items.elements(&mut |e| elements.push(e.text));
        assert_eq!(elements, ["{\"id\":1}", "2"]);
        assert_eq!(value.get("x").unwrap().text, "2");
        assert!(value.find(&["x".into(), "y".into()]).is_none());
    }

    #[test]
    fn what_serde_reads_is_read_and_lands_alike() {
        let texts = [
            r#"{"a":[1,-2,3.5e-3,true,null],"b":{"c":"\\\/\b\f\t"},"":""}"#,
            r#"[[],{},[{}],"\ud83d\ude00"]"#,
            "  \t\r\n0",
        ];
        for text in texts {
            let known: serde_json::Value = serde_json::from_str(text).unwrap();
            let read: serde_json::Value =
                serde_json::from_str(&compact(Raw::parse(text).unwrap().text)).unwrap();
            assert_eq!(known, read);
        }
    }
}
