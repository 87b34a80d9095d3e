//! Every promise in the page of guarantees names tests, and the tests are there.

use std::path::Path;

use super::finding::Finding;
use super::links::prose_lines;
use super::tree::{MarkdownFile, RustFile, Tree};

/// The page; a table whose head ends in `proof` has a promise and its tests in each row.
const PAGE: &str = "docs/guarantees.md";
/// Where functions are tests without saying so: a suite as a library.
const SUITE: &str = "crates/conformance/src/cases";
/// How many lines before a function may say that it is a test.
const ATTRIBUTE_LINES: usize = 3;

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let page = tree
        .markdown
        .iter()
        .find(|file| file.path == Path::new(PAGE));
    match page {
        Some(page) => check_page(page, &tree.rust),
        None => vec![Finding::new(
            Path::new(PAGE),
            1,
            "the page of guarantees is not there",
            "write it",
        )],
    }
}

fn check_page(page: &MarkdownFile, rust: &[RustFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_table = false;
    for (line, text) in prose_lines(&page.text) {
        let is_head = text.starts_with('|') && text.trim_end().ends_with("| proof |");
        in_table = text.starts_with('|') && (in_table || is_head);
        let proofs: Vec<&str> = proofs(text).collect();
        for proof in &proofs {
            if let Some(what) = wrong(proof, rust) {
                let fix = "name a test that is there, as `folder/file.rs::function`";
                findings.push(Finding::new(&page.path, line, what, fix));
            }
        }
        if proofs.is_empty() && in_table && !is_head && !is_rule(text) {
            let what = "a promise without a test";
            findings.push(Finding::new(&page.path, line, what, "name the test"));
        }
    }
    findings
}

/// Whether this is the line below the head of a table.
fn is_rule(row: &str) -> bool {
    row.chars().all(|c| matches!(c, '|' | '-' | ' ' | ':'))
}

/// What stands in code quotes and has the form of a test's name.
fn proofs(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.contains(".rs::"))
}

/// What is wrong with the name of a test, if anything is.
fn wrong(proof: &str, rust: &[RustFile]) -> Option<String> {
    let (file, function) = proof.split_once("::")?;
    let mut files = rust.iter().filter(|source| source.path.ends_with(file));
    let Some(source) = files.next() else {
        return Some(format!("`{file}` is not there"));
    };
    if files.next().is_some() {
        return Some(format!("`{file}` may be several files"));
    }
    let in_suite = source.path.starts_with(SUITE);
    match is_test(&source.code, function, in_suite) {
        true => None,
        false => Some(format!("`{file}` has no test `{function}`")),
    }
}

fn is_test(code: &str, function: &str, in_suite: bool) -> bool {
    let lines: Vec<&str> = code.lines().collect();
    let declared = format!("fn {function}(");
    lines.iter().enumerate().any(|(number, line)| {
        let before = &lines[number.saturating_sub(ATTRIBUTE_LINES)..number];
        let says_so = |line: &&str| {
            let line = line.trim_start();
            line.starts_with("#[test]") || line.starts_with("#[tokio::test")
        };
        line.contains(&declared) && (in_suite || before.iter().any(says_so))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_name_tests_that_are_there() {
        let source = |path: &str, code: &str| RustFile {
            path: path.into(),
            code: code.to_owned(),
        };
        let rust = [
            source(
                "crates/a/tests/it/crash.rs",
                "#[test]\nfn holds() {}\n\n\n\nfn helps() {}",
            ),
            source("crates/b/tests/it/crash.rs", "#[test]\nfn holds() {}"),
            source(
                "crates/conformance/src/cases/acks.rs",
                "async fn late(lab: Lab) {}",
            ),
        ];
        let verdict = |line: &str| {
            let page = MarkdownFile {
                path: PAGE.into(),
                text: format!("| promise | proof |\n|---|---|\n{line}"),
            };
            check_page(&page, &rust).len()
        };
        for (line, findings) in [
            ("", 0),
            ("Text without proof.", 0),
            ("Text.\n| another | table |\n|---|---|\n| a | b |", 0),
            (
                "| it holds | `a/tests/it/crash.rs::holds`, `cases/acks.rs::late` |",
                0,
            ),
            ("| it holds | believe me |", 1),
            ("| it holds | `it/crash.rs::holds` |", 1),
            ("| it holds | `a/tests/it/crash.rs::helps` |", 1),
            ("| it holds | `a/tests/it/crash.rs::hold` |", 1),
            ("| it holds | `c/crash.rs::holds` |", 1),
            ("Text with `c/crash.rs::holds`.", 1),
        ] {
            assert_eq!(verdict(line), findings, "{line}");
        }
    }
}
