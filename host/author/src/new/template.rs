//! Fills texts with parts that only some projects have.
//!
//! A line `@@ if WORD` begins a part that is kept if the word applies, or one of several that `-or-` joins;
//! `@@ else` inverts the condition, and `@@ end` ends the part. Parts can be nested. `@NAME@` is replaced.

use std::collections::BTreeSet;

/// The words that apply to a project, and the replacements of names.
pub(super) struct Template<'a> {
    pub(super) words: BTreeSet<&'a str>,
    pub(super) names: Vec<(&'static str, String)>,
}

impl Template<'_> {
    /// Fills a template for the project.
    pub(super) fn fill(&self, template: &str) -> String {
        let mut text = String::with_capacity(template.len());
        // For each part around the present line, whether it is kept.
        let mut parts: Vec<bool> = Vec::new();
        for line in template.lines() {
            match line.strip_prefix("@@ ") {
                Some("else") => {
                    if let Some(part) = parts.last_mut() {
                        *part = !*part;
                    }
                }
                Some("end") => {
                    parts.pop();
                }
                Some(condition) => {
                    let words = condition.trim_start_matches("if ");
                    parts.push(words.split("-or-").any(|word| self.words.contains(word)));
                }
                None if parts.iter().all(|part| *part) => {
                    text.push_str(line);
                    text.push('\n');
                }
                None => {}
            }
        }
        for (name, value) in &self.names {
            text = text.replace(&format!("@{name}@"), value);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill_keeps_parts_whose_word_applies() {
        let template = Template {
            words: ["b"].into(),
            names: vec![("NAME", "mine".to_owned())],
        };
        let text = "@@ if a\n1\n@@ else\n2 @NAME@\n@@ if a-or-b\n3\n@@ end\n@@ end\n@@ if a\n@@ if b\n4\n@@ end\n@@ end\n5";
        assert_eq!(template.fill(text), "2 mine\n3\n5\n");
    }
}
