//! How large a text of SQL may be. Told from its tokens, in a loop, before anything parses, walks, plans or drops
//! what it means: all of these recurse as deep as the text nests and its operators stand in a row.

mod expansion;
mod inlined;
#[cfg(test)]
mod tests;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
pub(crate) use expansion::{Widths, expanded};
pub(crate) use inlined::inlined;
use store::{Problem, limits};

/// A statement may be made of several expressions as large as one may be.
const EXPRESSIONS: usize = 5;
/// Of the terms of one expression, so many may stand in one row: engines turn a row into a tree as deep.
const ROW: usize = 4;
/// Values in lists of nothing but values, which cost no depth.
const LISTED: usize = 20_000;
/// Values of each row of a type that takes as many as it says, empty ones too.
const FIXED: u64 = 65_536;
/// Stack for work that recurses as deep as a bounded text may nest.
const STACK: usize = 64 << 20;

/// Runs `work` on a stack that holds whatever [`bounded`] lets pass.
pub fn on_large_stack<T>(work: impl FnOnce() -> T) -> T {
    stacker::grow(STACK, work)
}

/// Refuses a text of SQL (a statement, a condition, an expression) that is too long, has too many terms or nests too
/// deep. To be asked before any parser sees the text; `at` is the place where it became too much.
///
/// # Errors
/// Says which bound was met and what to do.
pub fn bounded(text: &str) -> Result<(), Problem> {
    let limits = limits();
    if text.len() > limits.statement_bytes {
        let mut problem = Problem::new(format!(
            "the SQL is {} KiB long; at most {} KiB are read",
            text.len() >> 10,
            limits.statement_bytes >> 10
        ));
        problem.hint = Some("load a long list into a table and join it".into());
        return Err(problem);
    }
    // What the tokenizer cannot read, the parser refuses with its own words.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location() else { return Ok(()) };
    for token in &tokens {
        literal(&token.token).map_err(|what| what.problem(token))?;
    }
    let mut count = Count::default();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at = count.take(&tokens, at).map_err(|what| what.problem(token))?;
    }
    Ok(())
}

/// A text may name a type (`arrow_cast(x, 'List(Int64)')`), which is parsed as deep as it nests and takes memory as
/// wide as it says.
fn literal(token: &Token) -> Result<(), Exceeded> {
    let text = match token {
        Token::SingleQuotedString(text)
        | Token::NationalStringLiteral(text)
        | Token::EscapedStringLiteral(text)
        | Token::UnicodeStringLiteral(text) => text,
        Token::DollarQuotedString(quoted) => &quoted.value,
        _ => return Ok(()),
    };
    let (mut open, mut deepest) = (0usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'<' => open += 1,
            b')' | b'>' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    if deepest > limits().depth {
        return Err(Exceeded::Depth);
    }
    for fixed in text.split("FixedSize").skip(1) {
        let numbers = fixed.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
        if numbers.map(|digits| digits.parse().unwrap_or(u64::MAX)).any(|n| n > FIXED) {
            return Err(Exceeded::Fixed);
        }
    }
    Ok(())
}

/// Which bound was met.
enum Exceeded {
    Fixed,
    Terms,
    Depth,
    Row,
    List,
}

impl Exceeded {
    fn problem(&self, token: &TokenWithSpan) -> Problem {
        let limits = limits();
        let (message, hint) = match self {
            Exceeded::Terms => (
                format!("the SQL has more than {} terms", limits.terms * EXPRESSIONS),
                "split it into models that read one another, or raise `limits: { terms: … }`",
            ),
            Exceeded::Depth => (
                format!("the SQL nests deeper than {} levels", limits.depth),
                "name its parts with WITH, or raise `limits: { depth: … }`",
            ),
            Exceeded::Row => (
                format!("more than {} operators stand in a row", limits.terms / ROW),
                "write a list (`x in (1, 2, 3)`) or join a table, or raise `limits: { terms: … }`",
            ),
            Exceeded::Fixed => (
                format!("a type of a fixed size takes more than {FIXED} values a row"),
                "name a type that takes only what is there, such as `List(Int64)`",
            ),
            Exceeded::List => (
                format!("the lists of the SQL hold more than {LISTED} values"),
                "load the values into a table and join it",
            ),
        };
        let mut problem = Problem::new(message).hint(hint);
        problem.at = Some((token.span.start.line as usize, token.span.start.column as usize));
        problem
    }
}

/// One pair of brackets, or one CASE.
#[derive(Default)]
struct Level {
    /// Closed by END.
    case: bool,
    /// Inside FROM a comma is a join.
    from: bool,
    /// Operators in a row since the last comma or clause.
    row: usize,
    /// Joins and set operations, each a level of the plan.
    joined: usize,
    /// The deepest bracket of the present row, and the deepest row so far.
    inner: usize,
    deepest: usize,
}

impl Level {
    fn next_row(&mut self) {
        self.deepest = self.deepest.max(self.row + self.inner);
        (self.row, self.inner) = (0, 0);
    }
}

/// What the text holds so far. `open` are the brackets around the present token.
struct Count {
    terms: usize,
    listed: usize,
    open: Vec<Level>,
}

impl Default for Count {
    fn default() -> Self {
        Self { terms: 0, listed: 0, open: vec![Level::default()] }
    }
}

impl Count {
    /// Takes the token at `at`; answers where to go on.
    fn take(&mut self, tokens: &[TokenWithSpan], at: usize) -> Result<usize, Exceeded> {
        match &tokens[at].token {
            Token::Whitespace(_) | Token::EOF | Token::Period | Token::Colon => {
                if matches!(tokens[at].token, Token::Period | Token::Colon) {
                    self.operator(0)?;
                }
            }
            Token::LParen | Token::LBracket | Token::LBrace => {
                if let Some((end, values)) = list(tokens, at) {
                    self.listed += values;
                    self.operator(0)?;
                    return if self.listed > LISTED { Err(Exceeded::List) } else { Ok(end) };
                }
                // `int[][]` nests without a bracket inside another.
                if tokens[at].token == Token::LBracket {
                    self.operator(0)?;
                }
                self.enter(false)?;
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                while self.open.len() > 1 && self.top().case {
                    self.leave()?;
                }
                self.leave()?;
            }
            Token::Comma => {
                let top = self.top();
                top.next_row();
                top.joined += usize::from(top.from);
                self.deep()?;
            }
            Token::SemiColon => self.top().next_row(),
            Token::Word(word) if word.quote_style.is_none() => self.word(word.keyword)?,
            Token::Word(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::Placeholder(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::HexStringLiteral(_) => self.term(1)?,
            _ => self.operator(1)?,
        }
        Ok(at + 1)
    }

    fn word(&mut self, word: Keyword) -> Result<(), Exceeded> {
        match word {
            Keyword::CASE => self.enter(true),
            Keyword::END if self.top().case => self.leave(),
            Keyword::FROM => {
                let top = self.top();
                top.next_row();
                top.from = true;
                Ok(())
            }
            Keyword::SELECT
            | Keyword::WHERE
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::ORDER
            | Keyword::LIMIT
            | Keyword::OFFSET
            | Keyword::QUALIFY
            | Keyword::WINDOW
            | Keyword::VALUES => {
                let top = self.top();
                top.next_row();
                top.from = false;
                Ok(())
            }
            Keyword::ON | Keyword::USING | Keyword::WHEN | Keyword::THEN | Keyword::ELSE | Keyword::BY => {
                self.top().next_row();
                Ok(())
            }
            Keyword::JOIN | Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS => {
                let top = self.top();
                top.next_row();
                top.joined += 1;
                self.deep()
            }
            Keyword::AND
            | Keyword::OR
            | Keyword::XOR
            | Keyword::NOT
            | Keyword::IS
            | Keyword::IN
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::RLIKE
            | Keyword::REGEXP
            | Keyword::SIMILAR
            | Keyword::BETWEEN
            | Keyword::DIV
            | Keyword::AT
            | Keyword::COLLATE
            | Keyword::OVERLAPS
            | Keyword::INTERVAL => self.operator(1),
            Keyword::AS | Keyword::ALL | Keyword::DISTINCT | Keyword::WITH => Ok(()),
            _ => self.term(1),
        }
    }

    fn top(&mut self) -> &mut Level {
        if self.open.is_empty() {
            self.open.push(Level::default());
        }
        let last = self.open.len() - 1;
        &mut self.open[last]
    }

    fn term(&mut self, n: usize) -> Result<(), Exceeded> {
        self.terms += n;
        if self.terms > limits().terms * EXPRESSIONS { Err(Exceeded::Terms) } else { Ok(()) }
    }

    /// An operator, which counts as `terms` terms.
    fn operator(&mut self, terms: usize) -> Result<(), Exceeded> {
        self.top().row += 1;
        self.term(terms)?;
        self.deep()
    }

    fn enter(&mut self, case: bool) -> Result<(), Exceeded> {
        self.open.push(Level { case, ..Level::default() });
        if self.open.len() > limits().depth + 1 {
            return Err(Exceeded::Depth);
        }
        self.deep()
    }

    fn leave(&mut self) -> Result<(), Exceeded> {
        // A bracket too many is the parser's to tell.
        if self.open.len() < 2 {
            return Ok(());
        }
        if let Some(mut closed) = self.open.pop() {
            closed.next_row();
            let deep = closed.deepest + closed.joined + 1;
            let top = self.top();
            top.inner = top.inner.max(deep);
        }
        self.deep()
    }

    /// Whether the tree that the text has so far is as deep as engines bear.
    fn deep(&self) -> Result<(), Exceeded> {
        if self.open.last().is_some_and(|level| level.joined > limits().depth) {
            return Err(Exceeded::Depth);
        }
        let around: usize = self.open.iter().map(|level| level.row + level.joined + 1).sum();
        let inner = self.open.last().map_or(0, |level| level.inner);
        if around + inner > limits().terms / ROW + limits().depth { Err(Exceeded::Row) } else { Ok(()) }
    }
}

/// A bracket that holds nothing but values: where it ends, and how many.
fn list(tokens: &[TokenWithSpan], open: usize) -> Option<(usize, usize)> {
    let mut values = 0;
    let mut comma = true;
    for (at, token) in tokens.iter().enumerate().skip(open + 1) {
        match &token.token {
            Token::Whitespace(_) => {}
            Token::Comma if !comma => comma = true,
            Token::Plus | Token::Minus if comma => {
                if !matches!(tokens.get(at + 1).map(|t| &t.token), Some(Token::Number(..))) {
                    return None;
                }
            }
            Token::Number(..) | Token::SingleQuotedString(_) if comma => {
                (values, comma) = (values + 1, false)
            }
            Token::Word(word)
                if comma
                    && word.quote_style.is_none()
                    && matches!(word.keyword, Keyword::NULL | Keyword::TRUE | Keyword::FALSE) =>
            {
                (values, comma) = (values + 1, false);
            }
            Token::RParen | Token::RBracket if values > 0 && !comma => return Some((at + 1, values)),
            _ => return None,
        }
    }
    None
}
