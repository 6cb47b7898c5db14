//! Arithmetic of derived metrics: numbers, names, `+ - * /` and parentheses.

use store::limits;

/// A parsed expression: its steps in the order in which they are computed. Flat, so that a long one neither
/// recurses when it is evaluated nor when it is dropped.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Formula {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Number(f64),
    Name(String),
    Negate,
    Apply(Operator),
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
/// Characters of a wrong expression that its message repeats.
const SHOWN: usize = 80;

impl Formula {
    /// Err says what is wrong and at which character (1-based).
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, at: 0, depth: 0, steps: Vec::new(), most: limits().terms };
        parser.sum()?;
        parser.spaces();
        match parser.rest().chars().next() {
            None => Ok(Self { steps: parser.steps }),
            Some(c) => Err(parser.wrong(&format!("`{c}` is not expected here"))),
        }
    }

    /// Names in the order in which they appear, repeated ones too.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// None when a name has no value or something is divided by zero.
    pub(crate) fn value(&self, of: &impl Fn(&str) -> Option<f64>) -> Option<f64> {
        let mut stack: Vec<f64> = Vec::with_capacity(8);
        for step in &self.steps {
            let value = match step {
                Step::Number(number) => *number,
                Step::Name(name) => of(name)?,
                Step::Negate => -stack.pop()?,
                Step::Apply(operator) => {
                    let (right, left) = (stack.pop()?, stack.pop()?);
                    match operator {
                        Operator::Plus => left + right,
                        Operator::Minus => left - right,
                        Operator::Times => left * right,
                        Operator::Over if right == 0.0 => return None,
                        Operator::Over => left / right,
                    }
                }
            };
            if !value.is_finite() {
                return None;
            }
            stack.push(value);
        }
        stack.pop()
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    steps: Vec<Step>,
    /// So many steps are still a formula.
    most: usize,
}

impl<'a> Parser<'a> {
    fn sum(&mut self) -> Result<(), String> {
        self.chain(Self::product, &[('+', Operator::Plus), ('-', Operator::Minus)])
    }

    fn product(&mut self) -> Result<(), String> {
        self.chain(Self::factor, &[('*', Operator::Times), ('/', Operator::Over)])
    }

    /// Operands joined by operators of one rank, from left to right.
    fn chain(
        &mut self,
        operand: fn(&mut Self) -> Result<(), String>,
        operators: &[(char, Operator)],
    ) -> Result<(), String> {
        operand(self)?;
        loop {
            self.spaces();
            let Some((_, operator)) = operators.iter().find(|(sign, _)| self.rest().starts_with(*sign))
            else {
                return Ok(());
            };
            self.at += 1;
            operand(self)?;
            self.step(Step::Apply(*operator))?;
        }
    }

    fn factor(&mut self) -> Result<(), String> {
        self.spaces();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong("the expression is nested too deeply"));
        }
        match self.rest().chars().next() {
            Some('(') => {
                self.at += 1;
                self.sum()?;
                self.spaces();
                if !self.rest().starts_with(')') {
                    return Err(self.wrong("a `)` is missing"));
                }
                self.at += 1;
            }
            Some('-') => {
                self.at += 1;
                self.factor()?;
                self.step(Step::Negate)?;
            }
            Some(c) if c.is_ascii_digit() || c == '.' => {
                let number = self.number()?;
                self.step(Step::Number(number))?;
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let name = self.take(|c| c.is_ascii_alphanumeric() || c == '_').to_owned();
                self.step(Step::Name(name))?;
            }
            Some(c) => return Err(self.wrong(&format!("`{c}` is not expected here"))),
            None => return Err(self.wrong("the expression ends too early")),
        }
        self.depth -= 1;
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<(), String> {
        if self.steps.len() >= self.most {
            return Err(format!(
                "the expression has more than {} terms; split it into several metrics",
                self.most
            ));
        }
        self.steps.push(step);
        Ok(())
    }

    fn number(&mut self) -> Result<f64, String> {
        let start = self.at;
        let text = self.take(|c| c.is_ascii_digit() || c == '.');
        text.parse().map_err(|_| format!("`{text}` at character {} is not a number", start + 1))
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
        let shown: String = self.text.chars().take(SHOWN).collect();
        let more = if shown.len() < self.text.len() { "…" } else { "" };
        format!("{what} (character {} of `{shown}{more}`)", self.text[..self.at].chars().count() + 1)
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

    #[test]
    fn a_long_expression_is_refused_before_it_costs_anything_and_an_allowed_one_is_flat() {
        for text in [
            vec!["a"; 200_000].join("+"),
            vec!["a"; 200_000].join("*"),
            format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000)),
            "-".repeat(100_000),
            format!("a{}", "-1".repeat(100_000)),
        ] {
            let error = Formula::parse(&text).expect_err("too long or too deep");
            assert!(error.len() < 300, "{error}");
        }
        assert_eq!(value(&vec!["b"; 1_000].join("+")), Some(3_000.0));
        assert_eq!(value(&vec!["a"; 1_000].join("-")), Some(6.0 - 999.0 * 6.0));
    }
}
