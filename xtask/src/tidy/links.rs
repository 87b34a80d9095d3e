//! Links in Markdown texts lead somewhere.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::finding::Finding;
use super::slug::anchors;
use super::tree::{MarkdownFile, Tree};

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.markdown {
        for (line, target) in links(&file.text) {
            if let Some((what, fix)) = broken(&tree.root, file, &target) {
                findings.push(Finding::new(&file.path, line, what, fix));
            }
        }
    }
    findings
}

/// The lines outside of code blocks, numbered from 1.
pub(crate) fn prose_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let start = line.trim_start();
        let mark = ["```", "~~~"]
            .into_iter()
            .find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(_)) => {
                fence = mark;
                false
            }
            (Some(open), _) => {
                if mark == Some(open) {
                    fence = None;
                }
                false
            }
            (None, None) => true,
        }
    })
}

/// The targets of all links: `[text](target)`, `![…](target)` and `[name]: target`.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose_lines(text) {
        let line = without_code(line);
        let mut rest = &*line;
        while let Some(start) = rest.find("](") {
            rest = &rest[start + 2..];
            let end = rest.find(')').unwrap_or(rest.len());
            found.push((number, target_of(&rest[..end])));
        }
        if let Some((name, target)) = line.split_once("]: ")
            && name.starts_with('[')
            && !name.starts_with("[^")
        {
            found.push((number, target_of(target)));
        }
    }
    found
}

/// A link's target without its title and angle brackets.
fn target_of(inside: &str) -> String {
    let first = inside.split_whitespace().next().unwrap_or_default();
    first.trim_matches(['<', '>']).to_owned()
}

/// The line without what stands in code quotes.
fn without_code(line: &str) -> String {
    if line.matches('`').count() % 2 == 1 {
        return line.to_owned();
    }
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// What is wrong with a link and what to do, if anything is.
fn broken(root: &Path, file: &MarkdownFile, target: &str) -> Option<(String, String)> {
    let elsewhere = target.contains("://") || target.starts_with("mailto:");
    if elsewhere {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = resolve(root, &file.path, path);
    if !path.exists() {
        let what = format!("link to `{target}`, which is not there");
        return Some((what, "correct or remove it".to_owned()));
    }
    let is_markdown = path.extension().is_some_and(|extension| extension == "md");
    if anchor.is_empty() || !is_markdown {
        return None;
    }
    let text = fs::read_to_string(&path).unwrap_or_default();
    if anchors(&text).contains(anchor) {
        return None;
    }
    let what = format!("link to `{target}`, where no heading has that anchor");
    Some((what, "name a heading that is there".to_owned()))
}

/// The file that a link means: from its own text, or with a leading `/` from the root.
fn resolve(root: &Path, from: &Path, target: &str) -> PathBuf {
    if target.is_empty() {
        return root.join(from);
    }
    let base = match target.strip_prefix('/') {
        Some(target) => root.join(target),
        None => root.join(from).with_file_name("").join(target),
    };
    let mut path = PathBuf::new();
    for component in base.components() {
        match component {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code() {
        let text = "\
See [a](b.md) and ![c](<d.png> \"title\"), not `[x](y)`.
```text
[x](y)
```
[ref]: e/f.md#g
[^note]: words
";
        let found: Vec<_> = links(text);
        let expected = [(1, "b.md"), (1, "d.png"), (5, "e/f.md#g")];
        assert_eq!(found, expected.map(|(line, to)| (line, to.to_owned())));
    }

    #[test]
    fn a_link_leads_to_a_file_and_a_heading() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        fs::create_dir(root.join("docs")).expect("a folder");
        fs::write(root.join("README.md"), "# Top\n## Next step\n").expect("a file");
        fs::write(root.join("docs/a.rs"), "").expect("a file");
        let file = MarkdownFile {
            path: "docs/b.md".into(),
            text: String::new(),
        };
        fs::write(root.join("docs/b.md"), "# Here\n").expect("a file");
        for (target, is_sound) in [
            ("https://example.org/x", true),
            ("mailto:a@example.org", true),
            ("a.rs", true),
            ("./a.rs#L10", true),
            ("../README.md#next-step", true),
            ("/README.md", true),
            ("../docs/", true),
            ("#here", true),
            ("#there", false),
            ("../README.md#nowhere", false),
            ("c.md", false),
            ("../a.rs", false),
        ] {
            assert_eq!(broken(root, &file, target).is_none(), is_sound, "{target}");
        }
    }
}
