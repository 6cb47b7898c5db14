//! Arithmetic of derived metrics: numbers, names, `+ - * /` and parentheses.

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Formula {
    Number(f64),
    Name(String),
    Negative(Box<Formula>),
    Binary(Box<Formula>, Operator, Box<Formula>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Plus,
    Minus,
    Times,
    Over,
}

/// Parentheses inside parentheses beyond this are no formula for people.
const MAX_DEPTH: usize = 32;

impl Formula {
    /// Err says what is wrong and at which character (1-based).
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let formula = parser.sum()?;
        parser.spaces();
        match parser.rest().chars().next() {
            None => Ok(formula),
            Some(c) => Err(parser.wrong(&format!("`{c}` is not expected here"))),
        }
    }

    /// Names in the order in which they appear, repeated ones too.
    pub(crate) fn names(&self) -> Vec<&str> {
        match self {
            Formula::Number(_) => Vec::new(),
            Formula::Name(name) => vec![name],
            Formula::Negative(inner) => inner.names(),
            Formula::Binary(left, _, right) => {
                let mut names = left.names();
                names.extend(right.names());
                names
            }
        }
    }

    /// None when a name has no value or something is divided by zero.
    pub(crate) fn value(&self, of: &impl Fn(&str) -> Option<f64>) -> Option<f64> {
        let value = match self {
            Formula::Number(number) => *number,
            Formula::Name(name) => of(name)?,
            Formula::Negative(inner) => -inner.value(of)?,
            Formula::Binary(left, operator, right) => {
                let (left, right) = (left.value(of)?, right.value(of)?);
                match operator {
                    Operator::Plus => left + right,
                    Operator::Minus => left - right,
                    Operator::Times => left * right,
                    Operator::Over if right == 0.0 => return None,
                    Operator::Over => left / right,
                }
            }
        };
        value.is_finite().then_some(value)
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn sum(&mut self) -> Result<Formula, String> {
        self.chain(Self::product, &[('+', Operator::Plus), ('-', Operator::Minus)])
    }

    fn product(&mut self) -> Result<Formula, String> {
        self.chain(Self::factor, &[('*', Operator::Times), ('/', Operator::Over)])
    }

    /// Operands joined by operators of one rank, from left to right.
    fn chain(
        &mut self,
        operand: fn(&mut Self) -> Result<Formula, String>,
        operators: &[(char, Operator)],
    ) -> Result<Formula, String> {
        let mut left = operand(self)?;
        loop {
            self.spaces();
            let Some((_, operator)) = operators.iter().find(|(sign, _)| self.rest().starts_with(*sign))
            else {
                return Ok(left);
            };
            self.at += 1;
            left = Formula::Binary(Box::new(left), *operator, Box::new(operand(self)?));
        }
    }

    fn factor(&mut self) -> Result<Formula, String> {
        self.spaces();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong("the expression is nested too deeply"));
        }
        let formula = match self.rest().chars().next() {
            Some('(') => {
                self.at += 1;
                let inner = self.sum()?;
                self.spaces();
                if !self.rest().starts_with(')') {
                    return Err(self.wrong("a `)` is missing"));
                }
                self.at += 1;
                inner
            }
            Some('-') => {
                self.at += 1;
                Formula::Negative(Box::new(self.factor()?))
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number()?,
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                Formula::Name(self.take(|c| c.is_ascii_alphanumeric() || c == '_').to_owned())
            }
            Some(c) => return Err(self.wrong(&format!("`{c}` is not expected here"))),
            None => return Err(self.wrong("the expression ends too early")),
        };
        self.depth -= 1;
        Ok(formula)
    }

    fn number(&mut self) -> Result<Formula, String> {
        let start = self.at;
        let text = self.take(|c| c.is_ascii_digit() || c == '.');
        text.parse()
            .map(Formula::Number)
            .map_err(|_| format!("`{text}` at character {} is not a number", start + 1))
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn wrong(&self, what: &str) -> String {
        format!("{what} (character {} of `{}`)", self.text[..self.at].chars().count() + 1, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<f64> {
        Formula::parse(text).expect("a formula").value(&|name| match name {
            "a" => Some(6.0),
            "b" => Some(3.0),
            "zero" => Some(0.0),
            _ => None,
        })
    }

    #[test]
    fn expressions_follow_the_usual_order() {
        for (text, expected) in [
            ("a - b", Some(3.0)),
            ("a - b - 1", Some(2.0)),
            ("a + b * 2", Some(12.0)),
            ("(a + b) * 2", Some(18.0)),
            ("a / b / 2", Some(1.0)),
            ("-a + 10", Some(4.0)),
            ("a * -b", Some(-18.0)),
            ("100 * .5", Some(50.0)),
            ("a / zero", None),
            ("a + missing", None),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_says_where() {
        for (text, place) in
            [("a -", 4), ("", 1), ("a b", 3), ("(a", 3), ("a $ b", 3), ("a + 中", 5), (")", 1)]
        {
            let error = Formula::parse(text).expect_err(text);
            assert!(error.contains(&format!("character {place} ")), "{text}: {error}");
        }
        assert!(Formula::parse("1.2.3").is_err());
        assert!(Formula::parse(&"(".repeat(1000)).is_err());
        assert!(Formula::parse(&"-".repeat(1000)).is_err());
    }
}
