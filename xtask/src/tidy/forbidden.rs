//! Leftovers that must not be committed.

use super::finding::Finding;
use super::tree::Tree;

/// What must not be in code, and what to do instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("todo!(", "write it, or return an error that says so"),
    (
        "unimplemented!(",
        "write it, or return an error that says so",
    ),
    ("dbg!(", "remove it, or use tracing"),
    ("#[ignore", "make the test fast and certain, or remove it"),
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.rust {
        for (line, what, fix) in leftovers(&file.code) {
            findings.push(Finding::new(&file.path, line, format!("`{what}`"), fix));
        }
    }
    findings
}

fn leftovers(code: &str) -> Vec<(usize, &'static str, &'static str)> {
    let lines = code.lines().zip(1..);
    lines
        .flat_map(|(text, line)| {
            FORBIDDEN
                .iter()
                .filter(|(what, _)| text.contains(what))
                .map(move |(what, fix)| (line, *what, *fix))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::leftovers;
    use crate::tidy::scrub::scrub;

    #[test]
    fn leftovers_are_found_in_code_only() {
        let source =
            "fn f() {\n    todo!()\n}\n// dbg!(x)\nlet s = \"todo!()\";\n#[ignore = \"x\"]\n";
        let found = leftovers(&scrub(source));
        let found: Vec<_> = found.iter().map(|(line, what, _)| (*line, *what)).collect();
        assert_eq!(found, [(2, "todo!("), (6, "#[ignore")]);
    }
}
