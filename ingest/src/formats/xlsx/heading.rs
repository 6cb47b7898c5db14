//! Which row of a sheet names its columns: a pure decision over its first rows.
//!
//! Words name columns, so the row with the most of them is looked at first. But days of a month, dates and years name
//! columns too (attendance, finance), and then rows of words below have more: a row above them is the header when its
//! numbers follow each other as headings do and the rows below hold something else there. A row that looks like all
//! others is none: then the sheet has no header, and no row is lost to it.

/// What a cell is, as far as headers are concerned.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Words(String),
    Number(f64),
    /// A date, as ISO text.
    Moment(String),
    Other,
}

/// A row of the beginning of a sheet: its cells with a value, by column.
#[derive(Debug, Clone)]
pub(super) struct HeadRow {
    pub(super) row: u32,
    pub(super) cells: Vec<(u32, Kind)>,
}

impl HeadRow {
    fn words(&self) -> usize {
        self.cells.iter().filter(|(_, k)| matches!(k, Kind::Words(_))).count()
    }

    fn at(&self, column: u32) -> Option<&Kind> {
        self.cells.iter().find(|(c, _)| *c == column).map(|(_, k)| k)
    }

    fn numbers(&self) -> Vec<(u32, &Kind)> {
        let number = |k: &Kind| matches!(k, Kind::Number(_) | Kind::Moment(_));
        self.cells.iter().filter(|(_, k)| number(k)).map(|(c, k)| (*c, k)).collect()
    }
}

/// The index of the header among the first rows; `None` when the sheet has no header.
pub(super) fn find(rows: &[HeadRow]) -> Option<usize> {
    let most = rows.iter().map(HeadRow::words).max().filter(|n| *n > 0)?;
    let wordy = rows.iter().position(|r| r.words() == most)?;
    let width = rows.iter().map(|r| r.cells.len()).max().unwrap_or(0);
    // A title above headings that are mostly numbers has as many words as they.
    let narrow = rows[wordy].cells.len() * 2 <= width;
    let reach = if narrow { rows.len() } else { wordy + 1 };
    for at in 0..reach {
        let wide = rows[at].cells.len() * 4 >= width * 3 && rows[at].cells.len() > 1;
        if wide && heads(rows, at) && !(at < wordy && is_second_header(rows, at, wordy)) {
            return Some(at);
        }
    }
    // A remark below a table of numbers names nothing, nor does a word among the values of its column.
    let wide_above = rows[..wordy].iter().any(|r| r.cells.len() * 4 >= width * 3);
    if (narrow && width > 1 && wide_above) || stands_below_values(rows, wordy) {
        return None;
    }
    if rows[wordy].numbers().is_empty() {
        return Some(wordy);
    }
    // Words above numbers are their names, although some columns have none.
    let named = |row: &HeadRow| {
        row.numbers().is_empty()
            && row.words() * 2 >= width
            && row.words() > 1
            && rows[wordy].numbers().iter().any(|(c, _)| matches!(row.at(*c), Some(Kind::Words(_))))
    };
    if let Some(at) = rows[..wordy].iter().position(named) {
        return Some(at);
    }
    (!looks_like_the_others(rows, wordy)).then_some(wordy)
}

/// Whether every column of a row has numbers or dates above.
fn stands_below_values(rows: &[HeadRow], at: usize) -> bool {
    let valued = |column: u32| {
        rows[..at].iter().any(|r| matches!(r.at(column), Some(Kind::Number(_) | Kind::Moment(_))))
    };
    rows[at].cells.iter().all(|(column, _)| valued(*column))
}

/// Whether the numbers and dates of a row are headings, and its words are different from each other.
fn heads(rows: &[HeadRow], at: usize) -> bool {
    let row = &rows[at];
    let numbers = row.numbers();
    let words: Vec<&str> = row
        .cells
        .iter()
        .filter_map(|(_, k)| match k {
            Kind::Words(w) => Some(w.trim()),
            _ => None,
        })
        .collect();
    let different = words.iter().enumerate().all(|(i, w)| !words[..i].contains(w));
    if numbers.is_empty() || !different || words.len() + numbers.len() < row.cells.len() {
        return false;
    }
    let below = &rows[at + 1..];
    // How many cells below hold something of which this is true.
    let share = |is: &dyn Fn(&Kind) -> bool| {
        let cells: Vec<&Kind> =
            below.iter().flat_map(|r| numbers.iter().filter_map(|(c, _)| r.at(*c))).collect();
        (cells.iter().filter(|k| is(k)).count(), cells.len())
    };
    let mostly = |is: &dyn Fn(&Kind) -> bool| {
        let (fit, all) = share(is);
        fit * 2 > all
    };
    if numbers.iter().all(|(_, k)| matches!(k, Kind::Moment(_))) {
        let order: Vec<&str> = numbers
            .iter()
            .filter_map(|(_, k)| match k {
                Kind::Moment(m) => Some(m.as_str()),
                _ => None,
            })
            .collect();
        let steady = order.windows(2).all(|w| w[0] < w[1]) || order.windows(2).all(|w| w[0] > w[1]);
        return steady && !mostly(&|k| matches!(k, Kind::Moment(_)));
    }
    let values: Vec<f64> = numbers
        .iter()
        .filter_map(|(_, k)| match k {
            Kind::Number(n) => Some(*n),
            _ => None,
        })
        .collect();
    if values.len() < numbers.len() || values.iter().any(|v| v.fract() != 0.0 || *v < 0.0) {
        return false;
    }
    let distinct = values.iter().enumerate().all(|(i, v)| !values[..i].contains(v));
    // Words below each of them, and no number above: what a row of data at the end of a table has not.
    let only_words = {
        let (words, all) = share(&|k| matches!(k, Kind::Words(_)));
        let each = numbers.iter().all(|(c, _)| below.iter().any(|r| r.at(*c).is_some()));
        let first = !rows[..at]
            .iter()
            .any(|r| numbers.iter().any(|(c, _)| r.at(*c).is_some_and(|k| number_of(k).is_some())));
        all > 0 && words == all && each && first
    };
    match values.len() {
        1 => {
            only_words
                || (values.iter().copied().all(is_period)
                    && !mostly(&|k| number_of(k).is_some_and(is_period)))
        }
        _ if values.iter().copied().all(is_period) => {
            distinct && !mostly(&|k| number_of(k).is_some_and(is_period))
        }
        2 if values[1] - values[0] != 1.0 => distinct && only_words,
        _ => {
            let step = values[1] - values[0];
            let even = step > 0.0 && values.windows(2).all(|w| w[1] - w[0] == step);
            let rising = values.windows(2).all(|w| w[0] < w[1]);
            // Rows of data rarely rise all alike; headings of sizes rise without an even step.
            let others = rows.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, r)| rises(r, &numbers));
            let (up, all) =
                others.flatten().fold((0, 0), |(up, all), rise| (up + usize::from(rise), all + 1));
            let below_rise = up * 2 > all;
            distinct
                && ((rising && !below_rise) || (even && values[0] <= 1.0 && values.len() > 2) || only_words)
        }
    }
}

fn number_of(kind: &Kind) -> Option<f64> {
    match kind {
        Kind::Number(n) => Some(*n),
        _ => None,
    }
}

/// A year, or a month as `202601`.
fn is_period(n: f64) -> bool {
    let whole = n as u64;
    (1900..=2100).contains(&whole)
        || ((190_001..=210_012).contains(&whole) && (1..=12).contains(&(whole % 100)))
}

/// Whether a row's numbers in these columns rise from left to right; `None` when not all of them are numbers.
fn rises(row: &HeadRow, columns: &[(u32, &Kind)]) -> Option<bool> {
    let values: Option<Vec<f64>> = columns.iter().map(|(c, _)| row.at(*c).and_then(number_of)).collect();
    values.map(|v| v.len() > 1 && v.windows(2).all(|w| w[0] < w[1]))
}

/// Whether the wordy row just below number headings is their second part (`2025 | 2026` above `amount | amount`):
/// real words where the headings hold numbers, and mostly numbers below.
fn is_second_header(rows: &[HeadRow], at: usize, wordy: usize) -> bool {
    if wordy != at + 1 {
        return false;
    }
    let columns: Vec<u32> = rows[at].numbers().iter().map(|(c, _)| *c).collect();
    let names = columns.iter().filter_map(|c| rows[wordy].at(*c)).all(|k| match k {
        Kind::Words(w) => is_name(w),
        _ => false,
    });
    let (mut numbers, mut words) = (0, 0);
    for kind in rows[wordy + 1..].iter().flat_map(|r| columns.iter().filter_map(|c| r.at(*c))) {
        match kind {
            Kind::Number(_) => numbers += 1,
            _ => words += 1,
        }
    }
    names && numbers > words
}

/// A word that could name a column: not a sign for no value.
fn is_name(text: &str) -> bool {
    let text = text.trim();
    let letters = text.chars().filter(|c| c.is_alphanumeric()).count();
    letters > 1
        && !["n/a", "na", "nan", "null", "none", "暂无", "缺失"].contains(&text.to_lowercase().as_str())
}

/// Whether a row with numbers has in each column what most other rows have there.
fn looks_like_the_others(rows: &[HeadRow], at: usize) -> bool {
    let class = |k: &Kind| match k {
        Kind::Words(_) => 0,
        Kind::Number(_) => 1,
        Kind::Moment(_) => 2,
        Kind::Other => 3,
    };
    rows[at].cells.iter().all(|(column, kind)| {
        let others = || rows.iter().enumerate().filter(|(i, _)| *i != at).filter_map(|(_, r)| r.at(*column));
        others().filter(|k| class(k) == class(kind)).count() * 2 >= others().count()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells by comma: numbers, dates and words; empty ones are no cells.
    fn sheet(lines: &[&str]) -> Vec<HeadRow> {
        let kind =
            |text: &str| match (text.parse::<f64>(), text.len() == 10 && text.matches('-').count() == 2) {
                (_, true) => Kind::Moment(text.into()),
                (Ok(n), _) => Kind::Number(n),
                _ => Kind::Words(text.into()),
            };
        let row = |(i, line): (usize, &&str)| HeadRow {
            row: i as u32,
            cells: (0u32..)
                .zip(line.split(','))
                .filter(|(_, t)| !t.is_empty())
                .map(|(c, t)| (c, kind(t)))
                .collect(),
        };
        lines.iter().enumerate().map(row).collect()
    }

    #[test]
    fn headers_are_found_as_a_reader_finds_them() {
        let cases: [(&[&str], Option<usize>); 29] = [
            (&["工号,姓名,1,2,3,4,5", "E001,甲", "E002,乙,√,√,迟到,√,√", "E003,丙,√,事假,√,√"], Some(0)),
            (
                &[
                    "项目,2026-01-01,2026-02-01,2026-03-01",
                    "收入,100,200,300",
                    "成本,—,—,50",
                    "利润,N/A,10,20",
                ],
                Some(0),
            ),
            (&["项目,2026-01-01,2026-02-01,2026-03-01", "成本,—,—,—", "收入,100,200,300"], Some(0)),
            (&["姓名,2024,2025,2026", "甲,良,优,优", "乙,优,良,差"], Some(0)),
            (&["2026 年考勤", "工号,姓名,1,2,3", "E001,甲,出勤,出勤,事假"], Some(1)),
            (&["年度指标", "指标,2023,2024,2025", "收入,1,2,3", "成本,1,2,3"], Some(1)),
            (&["月份,202601,202602", "甲,优,良", "乙,良,优"], Some(0)),
            (&[",1,2,3", "甲,出勤,出勤,迟到", "乙,出勤,出勤,出勤"], Some(0)),
            (&["姓名,2026-11-27", "甲,出勤", "乙,迟到"], Some(0)),
            (&["姓名,部门,1,2", "甲,研发,8,事假", "乙,研发,病假,8"], Some(0)),
            // Words stay what names columns.
            (&["id,name,amount", "1,a,10", "2,b,20"], Some(0)),
            (&["销售报表", "单位：甲公司,,2026-11-27", "客户,产品,数量,金额", "a,b,1,2", "c,d,3,4"], Some(2)),
            (&["科目,2025,2026", "名称,金额,金额", "现金,1,2", "存款,3,4"], Some(1)),
            (&[",Jan,Feb,Mar", "x,1,2,3", "y,4,5,6"], Some(0)),
            (&["编号,姓名,,", "1,张三,a,b", "2,李四,c,d"], Some(0)),
            (&["利率,5", "客户,产品,数量", "a,b,1"], Some(1)),
            // No header: no row is lost.
            (&["1,10.5,x", "2,11.5,y", "3,9.5,z"], None),
            (&["张三,2020-01-01,2021-01-01", "李四,2020-02-01,2021-02-01"], None),
            (&["1,张三,", "2,李四,备注", "3,王五,"], None),
            (&["1,2,3", "4,5,6"], None),
            (&["a,1,10", "b,2,20", "c,3,30"], None),
            (&["x,2020,2021", "y,2021,2022", "z,2019,2020"], None),
            (&["规格,10,20,50", "甲,多,少,无", "乙,少,多,多"], Some(0)),
            (&["1,2", "3,4", "5,6", "a remark below"], None),
            (&["1", "1.5", "ab", "x"], None),
            (&["id,note", "1,2", "x,y"], Some(0)),
            (&["工号,姓名,1,2,3", "1,甲,8,8,8", "2,乙,8,7,8"], Some(0)),
            (&["期初余额,100", "日期,摘要,金额", "2026-01-01,a,1"], Some(1)),
            (&["甲,乙", "丙,丁"], Some(0)),
        ];
        for (lines, wanted) in cases {
            assert_eq!(find(&sheet(lines)), wanted, "{lines:?}");
        }
    }
}
