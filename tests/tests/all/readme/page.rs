//! A page, parsed.

use std::fs;

use pace_tests::root;

/// README.md, or a page of `docs/`.
pub(crate) struct Page {
    pub(crate) name: &'static str,
    text: String,
    pub(crate) blocks: Vec<Block>,
}

/// A block: the text between two lines of three backticks.
pub(crate) struct Block {
    /// The heading of its section.
    pub(crate) section: String,
    pub(crate) language: String,
    pub(crate) text: String,
    /// The line of its beginning, counted from 1.
    pub(crate) line: usize,
}

impl Page {
    pub(crate) fn read() -> Page {
        Page::of("README.md")
    }

    /// Every page whose content is tested, README.md first.
    pub(crate) fn all() -> [Page; 7] {
        [
            "README.md",
            "docs/configuration.md",
            "docs/deploying.md",
            "docs/metrics.md",
            "docs/operations.md",
            "docs/troubleshooting.md",
            "docs/plugins.md",
        ]
        .map(Page::of)
    }

    /// Reads a file, by its path in the repository.
    pub(crate) fn of(name: &'static str) -> Page {
        let text = fs::read_to_string(root().join(name)).expect("the page is there");
        let mut blocks: Vec<Block> = Vec::new();
        let (mut section, mut inside) = (String::new(), false);
        for (number, line) in (1..).zip(text.lines()) {
            match (line.strip_prefix("```"), inside) {
                (Some(language), false) => blocks.push(Block {
                    section: section.clone(),
                    language: language.to_owned(),
                    text: String::new(),
                    line: number,
                }),
                (None, true) => {
                    let block = blocks.last_mut().expect("a block has begun");
                    block.text += line;
                    block.text.push('\n');
                }
                (None, false) if line.starts_with("## ") => line.clone_into(&mut section),
                _ => {}
            }
            inside ^= line.starts_with("```");
        }
        assert!(!inside, "{name} ends inside a block");
        Page { name, text, blocks }
    }

    /// The cells of each row of the table that begins with this row.
    pub(crate) fn table(&self, header: &str) -> Vec<Vec<String>> {
        let mut lines = self.text.lines().skip_while(|line| *line != header);
        assert!(lines.next().is_some(), "{} has no table {header}", self.name);
        lines
            .skip(1)
            .take_while(|line| line.starts_with('|'))
            .map(|row| {
                let cells = row.trim_matches('|').split('|');
                cells.map(|cell| cell.trim().to_owned()).collect()
            })
            .collect()
    }
}

impl Block {
    /// The name of the file whose content this is, if the first line is a comment with it.
    pub(crate) fn file(&self) -> Option<&str> {
        let first = self.text.lines().next()?;
        let comment = first.strip_prefix("# ").or_else(|| first.strip_prefix("// "))?;
        (comment.starts_with("../") || comment == "pace.toml").then_some(comment)
    }
}

/// The texts marked as code, by one backtick on each side or by two.
pub(crate) fn code(cell: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = cell;
    while let Some((_, after)) = rest.split_once('`') {
        let (fence, body) = match after.strip_prefix('`') {
            Some(body) => ("``", body),
            None => ("`", after),
        };
        let (span, after) = body.split_once(fence).expect("what begins as code ends as code");
        found.push(span.to_owned());
        rest = after;
    }
    found
}

/// Whether a line is as shown; `…` stands for anything.
pub(crate) fn is_line(shown: &str, line: &str) -> bool {
    let (shown, line) = (shown.trim_end(), line.trim_end());
    match shown.split_once('…') {
        None => shown == line,
        Some((start, rest)) => line
            .strip_prefix(start)
            .is_some_and(|line| ends(line).any(|end| is_line(rest, end))),
    }
}

/// Whether an output is as shown, line by line; a line with nothing but `…` stands for any lines.
pub(crate) fn is_output(shown: &[&str], output: &[&str]) -> bool {
    match (shown, output) {
        ([], []) => true,
        (["…", rest @ ..], _) => (0..=output.len()).any(|skip| is_output(rest, &output[skip..])),
        ([first, shown @ ..], [line, output @ ..]) => is_line(first, line) && is_output(shown, output),
        ([], _) | (_, []) => false,
    }
}

/// Every suffix of a text, from the whole of it to the empty one.
fn ends(text: &str) -> impl Iterator<Item = &str> {
    text.char_indices().map(|(at, _)| &text[at..]).chain([""])
}

#[test]
fn ellipsis_stands_for_anything() {
    assert!(is_line("a … c", "a b b c\r"));
    assert!(is_line("…c", "c") && is_line("a…", "a"));
    assert!(!is_line("a … c", "a b") && !is_line("a", "a b"));
    assert!(is_output(&["a", "…", "c"], &["a", "c"]));
    assert!(is_output(&["a", "…"], &["a", "b", "b"]));
    assert!(!is_output(&["a", "c"], &["a", "b", "c"]));
    assert_eq!(code("`a`, ``b `c` d``"), ["a", "b `c` d"]);
}
