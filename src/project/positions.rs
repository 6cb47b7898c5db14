//! Where the values of a YAML text stand: turns the path of a problem into line and column.

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle};
use store::{Problem, Step};

/// Deeper documents than this are refused by the reader before anybody asks for a position.
const MAX_DEPTH: usize = 128;

/// Positions of all keys and values of one document. Lines and columns count from 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Positions {
    root: Option<Node>,
}

#[derive(Clone, Debug)]
struct Node {
    at: (usize, usize),
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Scalar { text: Option<TextStart> },
    Sequence(Vec<Node>),
    Mapping(Vec<(String, (usize, usize), Node)>),
}

impl Positions {
    /// Reads positions from `text`, whose first line is line `offset + 1` of the file. A text that is
    /// not YAML has positions up to the first mistake.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let mut reader = Reader { parser: Parser::new_from_str(text), offset };
        Self { root: reader.document() }
    }

    /// The place of a problem: of the value it names, or of the nearest part of the document around
    /// it when the value is missing.
    pub(crate) fn place(&self, problem: &Problem) -> (usize, usize) {
        let Some(root) = &self.root else { return problem.at.unwrap_or((1, 1)) };
        let (mut at, mut node, mut whole) = (root.at, root, true);
        for step in &problem.path {
            let Some((place, next)) = node.step(step) else {
                whole = false;
                break;
            };
            (at, node) = (place, next);
        }
        match (&node.what, problem.at) {
            (What::Scalar { text: Some(text) }, Some(inner)) if whole => text.place(inner).unwrap_or(at),
            _ => at,
        }
    }
}

/// Where the text of a scalar starts in the file: behind a quote, or on the first line below `|`.
#[derive(Clone, Copy, Debug)]
struct TextStart {
    at: (usize, usize),
    /// Lines of the text are lines of the file, all indented alike.
    literal: bool,
}

impl TextStart {
    fn place(self, (line, column): (usize, usize)) -> Option<(usize, usize)> {
        // Other scalars join their lines, so only the first line can be found again.
        (self.literal || line <= 1)
            .then(|| (self.at.0 + line.saturating_sub(1), self.at.1 + column.saturating_sub(1)))
    }
}

impl Node {
    fn step(&self, step: &Step) -> Option<((usize, usize), &Node)> {
        match (&self.what, step) {
            (What::Mapping(entries), Step::Key(wanted)) => {
                let (_, key, value) = entries.iter().find(|(name, ..)| name == wanted)?;
                // A scalar is pointed at; of a larger value, the key says more than its first line.
                let at = if matches!(value.what, What::Scalar { .. }) { value.at } else { *key };
                Some((at, value))
            }
            (What::Sequence(items), Step::Index(index)) => items.get(*index).map(|node| (node.at, node)),
            _ => None,
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, serde_saphyr::granit_parser::StrInput<'a>>,
    offset: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<(Event<'a>, (usize, usize))> {
        let (event, span) = self.parser.next_event()?.ok()?;
        Some((event, (span.start.line() + self.offset, span.start.col() + 1)))
    }

    fn document(&mut self) -> Option<Node> {
        loop {
            let (event, at) = self.next()?;
            if event.is_node() {
                return self.node(event, at, 0);
            }
        }
    }

    fn node(&mut self, event: Event<'a>, at: (usize, usize), depth: usize) -> Option<Node> {
        if depth > MAX_DEPTH {
            return None;
        }
        let what = match event {
            Event::Scalar(_, style, ..) => What::Scalar { text: text_start(style, at) },
            Event::SequenceStart(..) => What::Sequence(self.sequence(depth)),
            Event::MappingStart(..) => What::Mapping(self.mapping(depth)),
            _ => What::Scalar { text: None },
        };
        Some(Node { at, what })
    }

    /// Items up to the end of the sequence, or up to the first mistake.
    fn sequence(&mut self, depth: usize) -> Vec<Node> {
        let mut items = Vec::new();
        while let Some((event, at)) = self.next() {
            match event {
                Event::SequenceEnd => break,
                event if event.is_node() => match self.node(event, at, depth + 1) {
                    Some(node) => items.push(node),
                    None => break,
                },
                _ => {}
            }
        }
        items
    }

    fn mapping(&mut self, depth: usize) -> Vec<(String, (usize, usize), Node)> {
        let mut entries = Vec::new();
        let mut key: Option<(String, (usize, usize))> = None;
        while let Some((event, at)) = self.next() {
            match event {
                Event::MappingEnd => break,
                event if event.is_node() => match key.take() {
                    None => {
                        let name = event.scalar().map(|(text, _)| text.to_owned()).unwrap_or_default();
                        if !matches!(event, Event::Scalar(..)) && self.node(event, at, depth + 1).is_none() {
                            break;
                        }
                        key = Some((name, at));
                    }
                    Some((name, key_at)) => match self.node(event, at, depth + 1) {
                        Some(node) => entries.push((name, key_at, node)),
                        None => break,
                    },
                },
                _ => {}
            }
        }
        entries
    }
}

fn text_start(style: ScalarStyle, at: (usize, usize)) -> Option<TextStart> {
    match style {
        ScalarStyle::Plain => Some(TextStart { at, literal: false }),
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
            Some(TextStart { at: (at.0, at.1 + 1), literal: false })
        }
        // The parser places a block text at its first line, not at the `|`.
        ScalarStyle::Literal => Some(TextStart { at, literal: true }),
        ScalarStyle::Folded => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a comment
title: 积压
ask: {metric: backlog, by: [process, dept]}
when:
  rows:
    sql: |
      select 1
      from mart.x
    key: \"[a]\"
rows:
  - - kpi: {metric: a}
    - kpi:
        metric: b
";

    fn place(problem: Problem) -> (usize, usize) {
        Positions::of(TEXT, 0).place(&problem)
    }

    #[test]
    fn a_path_finds_the_value_it_names() {
        let p = || Problem::new("x");
        assert_eq!(place(p().at_key("title")), (2, 8));
        assert_eq!(place(p().at_key("ask").at_key("metric")), (3, 15));
        assert_eq!(place(p().at_key("ask").at_key("by").at_index(1)), (3, 38));
        assert_eq!(place(p().at_key("when")), (4, 1), "of a mapping, the key");
        let tile = p().at_key("rows").at_index(0).at_index(1).at_key("kpi").at_key("metric");
        assert_eq!(place(tile), (13, 17));
    }

    #[test]
    fn a_missing_value_is_placed_at_what_should_hold_it() {
        let p = || Problem::new("x");
        assert_eq!(place(p()), (2, 1));
        assert_eq!(place(p().at_key("nothing")), (2, 1));
        assert_eq!(place(p().at_key("when").at_key("nothing")), (4, 1));
        assert_eq!(place(p().at_key("rows").at_index(7)), (10, 1));
    }

    #[test]
    fn a_place_inside_sql_counts_from_where_the_sql_starts() {
        let sql = Problem::new("x").at_key("when").at_key("rows").at_key("sql");
        assert_eq!(place(sql.clone()), (7, 7), "a block text is placed at its first line");
        assert_eq!(place(sql.clone().at(1, 1)), (7, 7));
        assert_eq!(place(sql.at(2, 6)), (8, 12));
        let quoted = Problem::new("x").at_key("when").at_key("rows").at_key("key").at(1, 2);
        assert_eq!(place(quoted), (9, 12));
    }

    #[test]
    fn a_header_counts_its_lines_from_the_top_of_the_file() {
        let at = Positions::of("refresh: full\n", 1).place(&Problem::new("x").at_key("refresh"));
        assert_eq!(at, (2, 10));
    }

    #[test]
    fn broken_yaml_keeps_the_positions_before_the_mistake() {
        let at = Positions::of("a: 1\nb: [1, 2\nc: 3\n", 0).place(&Problem::new("x").at_key("a"));
        assert_eq!(at, (1, 4));
    }
}
