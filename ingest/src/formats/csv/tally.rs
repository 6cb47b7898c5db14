//! What was set aside in one file, and the remedies that its kinds have.

use super::warn;
use crate::formats::sink::Sink;

/// Counts of one file.
pub(super) struct Tally {
    width: usize,
    header: bool,
    kept: u64,
    aside: u64,
    short: Places,
    long: Places,
    quotes: Places,
    again: Places,
    second: Places,
    /// Lines with undecodable bytes.
    pub(super) undecoded: u64,
    /// Rows of one other width behind which nothing was kept: that width, first line, count.
    tail: (usize, u64, u64),
}

/// How often, and where first.
#[derive(Default)]
struct Places {
    count: u64,
    first: u64,
}

impl Places {
    fn add(&mut self, line: u64) {
        if self.count == 0 {
            self.first = line;
        }
        self.count += 1;
    }
}

impl Tally {
    pub(super) fn new(width: usize, header: bool) -> Self {
        Tally {
            width,
            header,
            kept: 0,
            aside: 0,
            short: Places::default(),
            long: Places::default(),
            quotes: Places::default(),
            again: Places::default(),
            second: Places::default(),
            undecoded: 0,
            tail: (0, 0, 0),
        }
    }

    #[inline]
    pub(super) fn kept(&mut self) {
        self.kept += 1;
        self.tail.2 = 0;
    }

    pub(super) fn aside(&mut self) {
        self.aside += 1;
    }

    /// Rows and lines read so far.
    pub(super) fn rows(&self) -> u64 {
        self.kept + self.aside
    }

    pub(super) fn odd(&mut self, width: usize, line: u64) {
        if width < self.width {
            self.short.add(line);
        } else {
            self.long.add(line);
        }
        self.tail = match self.tail {
            (before, first, count) if before == width && count > 0 => (width, first, count + 1),
            _ => (width, line, 1),
        };
    }

    pub(super) fn quote(&mut self, line: u64) {
        self.quotes.add(line);
    }

    pub(super) fn repeated(&mut self, line: u64) {
        self.again.add(line);
    }

    pub(super) fn second(&mut self, line: u64) {
        self.second.add(line);
    }

    /// Says what would read the lines that were set aside.
    pub(super) fn tell(&self, end: u64, sink: &mut Sink) {
        let (width, first, count) = self.tail;
        let second_table = count >= 2 && width > 1 && self.kept > 0;
        if second_table {
            warn(
                sink,
                &format!(
                    "the {count} rows from line {first} to its end have {width} fields instead of {}: a second table? Put it into a file and a stream of its own",
                    self.width
                ),
            );
        } else if self.short.count > 0 {
            let what = if self.header { "the header" } else { "the table" };
            warn(
                sink,
                &format!(
                    "{} {} fewer fields than {what}, first line {}; when the missing ones are the last ones, `null_padding: true` in the format lands them as NULL; when these are title lines, `skip` leaves them out",
                    self.short.count,
                    if self.short.count == 1 { "row has" } else { "rows have" },
                    self.short.first
                ),
            );
        }
        if self.long.count > 0 && !second_table {
            warn(
                sink,
                &format!(
                    "{} more fields than {}, first line {}; when a value holds the delimiter, ask for the file with such values in quotes, else name the right `delimiter` in the format",
                    if self.long.count == 1 {
                        "1 row has".to_owned()
                    } else {
                        format!("{} rows have", self.long.count)
                    },
                    if self.header { "the header" } else { "the table" },
                    self.long.first
                ),
            );
        }
        if self.quotes.count > 0 {
            warn(
                sink,
                &format!(
                    "{} with a quote that is not closed or not escaped, first line {}; when quotes are text, as inch marks are, write `quote: none` in the format, when `\\` escapes them, `escape: \"\\\\\"`",
                    lines(self.quotes.count),
                    self.quotes.first
                ),
            );
        }
        if self.again.count > 0 {
            warn(
                sink,
                &format!(
                    "{} the header again, first line {}: several files or tables were joined; the rows below landed under the first header",
                    if self.again.count == 1 {
                        "1 line is".to_owned()
                    } else {
                        format!("{} lines are", self.again.count)
                    },
                    self.again.first
                ),
            );
        }
        if self.second.count > 0 {
            warn(
                sink,
                &format!(
                    "line {} looks like the header of a second table; the rows below it (to line {end}) landed in the first table's columns: put the second table into a file and a stream of its own",
                    self.second.first
                ),
            );
        }
    }
}

fn lines(count: u64) -> String {
    if count == 1 { "1 line".into() } else { format!("{count} lines") }
}
