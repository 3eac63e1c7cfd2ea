//! YAML as it was typed: every scalar stays the text that stood there, with its line.
//!
//! No value is interpreted: `0020044774` is not an octal number and `OFF` is not false (protocol reference 9). Files
//! come from anywhere, so depth and size are bounded, also of what anchors repeat.

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError};

/// Deeper than any file of `conson-xp`, which need five.
const DEPTH_MAX: usize = 24;
/// Bytes of text, and some for each node; with what anchors repeat.
const WEIGHT_MAX: usize = 16 * 1024 * 1024;
/// What a node weighs besides its text.
const NODE_WEIGHT: usize = 48;

/// Something in a file, and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// The line, counted from 1.
    pub(super) line: usize,
    /// What it is.
    pub(super) value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Text; `plain` when it stood without quotes.
    Scalar {
        /// What was typed, without the quotes.
        text: String,
        /// Whether it had none.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// Keys with their values, in their order; no key is there twice.
    Map(Vec<(String, Node)>),
}

/// Why a text is no file to be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {why}")]
pub(super) struct YamlError {
    /// Which line, counted from 1.
    pub(super) line: usize,
    /// What is wrong there.
    pub(super) why: String,
}

impl Node {
    /// The value of a key; none when it is no map, or the key is absent or empty.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, node)| node).filter(|node| !node.is_null())
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The elements of a list; those of anything else are none.
    pub(super) fn elements(&self) -> &[Self] {
        match &self.value {
            Value::List(elements) => elements,
            _ => &[],
        }
    }

    /// Keys with their values; those of anything else are none.
    pub(super) fn entries(&self) -> &[(String, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Whether nothing stands there.
    pub(super) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar { text, plain: true } => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }
}

/// Reads a text; nothing in it is no node.
pub(super) fn read(text: &str) -> Result<Option<Node>, YamlError> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text.trim_start_matches('\u{feff}')) {
        let (event, span) = event.map_err(|error| not_yaml(&error))?;
        tree.take(event, span.start.line())?;
    }
    Ok(tree.root)
}

fn not_yaml(error: &ScanError) -> YamlError {
    let line = error.marker().line();
    let why = match error.kind() {
        ErrorKind::UnknownAnchor => {
            "this `*` names an anchor that is not above it; text with a `*` needs quotes".into()
        }
        kind => format!("this is not YAML: {kind}"),
    };
    YamlError { line, why }
}

/// A collection whose end has not come.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value, of a map.
    key: Option<(String, usize)>,
    /// Where each key of a map stands.
    lines: HashMap<String, usize>,
    /// What it and all in it weigh.
    weight: usize,
}

#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    anchors: HashMap<usize, (Node, usize)>,
    weight: usize,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(wrong(line, "a second document begins here; only files with one are read"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, _) => {
                let weight = NODE_WEIGHT + text.len();
                let value = Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                self.put(Node { line, value }, anchor, weight)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(Value::List(Vec::new()), anchor, line),
            Event::MappingStart(_, anchor, _) => self.begin(Value::Map(Vec::new()), anchor, line),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(done) => self.place(done.node, done.anchor, done.weight),
                None => Ok(()),
            },
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some((node, weight)) => self.put(Node { line, ..node }, 0, weight),
                None => Err(wrong(line, "this alias stands for something that contains it")),
            },
            _ => Ok(()),
        }
    }

    fn begin(&mut self, value: Value, anchor: usize, line: usize) -> Result<(), YamlError> {
        if self.open.len() >= DEPTH_MAX {
            return Err(wrong(line, "more than 24 levels deep: this is no file of conson-xp"));
        }
        self.weigh(NODE_WEIGHT, line)?;
        if self.open.last().is_some_and(|open| matches!(open.node.value, Value::Map(_)) && open.key.is_none())
        {
            return Err(wrong(line, "a key must be a text"));
        }
        let node = Node { line, value };
        self.open.push(Open { node, anchor, key: None, lines: HashMap::new(), weight: NODE_WEIGHT });
        Ok(())
    }

    /// Places a node that has not been weighed.
    fn put(&mut self, node: Node, anchor: usize, weight: usize) -> Result<(), YamlError> {
        self.weigh(weight, node.line)?;
        self.place(node, anchor, weight)
    }

    fn place(&mut self, node: Node, anchor: usize, weight: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            self.weigh(weight, node.line)?;
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.weight += weight;
        match &mut open.node.value {
            Value::List(elements) => elements.push(node),
            Value::Map(entries) => match open.key.take() {
                Some((key, line)) => {
                    if let Some(first) = open.lines.insert(key.clone(), line) {
                        let why = format!("the key `{key}` stands twice, first on line {first}; delete one");
                        return Err(YamlError { line, why });
                    }
                    // A collection is found by its key, which may stand a line above it.
                    let of_scalar = matches!(node.value, Value::Scalar { .. });
                    entries.push((key, if of_scalar { node } else { Node { line, ..node } }));
                }
                None => match node.value {
                    Value::Scalar { text, plain: true } if text == "<<" => {
                        return Err(wrong(node.line, "`<<` is not read; write the keys out"));
                    }
                    Value::Scalar { text, .. } => open.key = Some((text, node.line)),
                    _ => return Err(wrong(node.line, "a key must be a text")),
                },
            },
            Value::Scalar { .. } => {}
        }
        Ok(())
    }

    fn weigh(&mut self, weight: usize, line: usize) -> Result<(), YamlError> {
        self.weight += weight;
        if self.weight > WEIGHT_MAX {
            return Err(wrong(line, "with what its anchors repeat the file is too large to be meant"));
        }
        Ok(())
    }
}

fn wrong(line: usize, why: &str) -> YamlError {
    YamlError { line, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        read(text).unwrap().unwrap()
    }

    fn fault(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn every_scalar_is_the_text_that_was_typed() {
        let node = node("a: 0020044774\nb: OFF\nc: 08\nd: yes\ne: '1'\nf: 1.10\ng: 12:30\n");
        let texts: Vec<&str> = node.entries().iter().filter_map(|(_, node)| node.text()).collect();
        assert_eq!(texts, ["0020044774", "OFF", "08", "yes", "1", "1.10", "12:30"]);
        assert_eq!(node.get("c").map(|node| node.line), Some(3));
    }

    #[test]
    fn an_empty_value_is_no_value() {
        let node = node("a:\nb: ~\nc: null\nd: ''\n");
        assert_eq!(
            ["a", "b", "c", "d"].map(|key| node.get(key).is_some()),
            [false, false, false, true],
            "quoted nothing is something"
        );
    }

    #[test]
    fn anchors_repeat_what_they_name_and_not_more_than_fits() {
        let repeated = node("a: &x [1, 2]\nb: *x\n");
        assert_eq!(repeated.get("b").unwrap().elements().len(), 2);
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{below}]\n");
        }
        assert!(fault(&bomb).contains("too large to be meant"), "{}", fault(&bomb));
        assert!(fault("a: &x [*x]\n").contains("contains it"));
        assert!(fault("a: *nobody\n").starts_with("1: this `*` names an anchor"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        assert_eq!(fault("a: 1\nb: 2\na: 3\n"), "3: the key `a` stands twice, first on line 1; delete one");
        for deep in
            ["- ".repeat(100), "[".repeat(100) + &"]".repeat(100), "{a: ".repeat(90) + &"}".repeat(90)]
        {
            assert!(fault(&deep).contains("24 levels"), "{}", fault(&deep));
        }
        assert!(fault("a: 1\n---\nb: 2\n").starts_with("2: a second document"));
        assert!(fault("a: [1\nb: {").contains("this is not YAML"));
        assert!(fault("a: &x {k: 1}\nb:\n  <<: *x\n").starts_with("3: `<<` is not read"));
        assert_eq!(read("# nothing\n"), Ok(None));
    }
}
