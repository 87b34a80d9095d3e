//! Files that can be read in one sitting, functions that can be read on a screen.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::tree::Tree;

/// Longest file, in lines.
const FILE_LINES_MAX: usize = 800;
/// Longest function, in lines from its `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 120;

/// What was longer when the rule came: `path` or `path::function`, and its length. Entries may
/// only shrink and go; nothing is ever added.
const LONGER: &[(&str, usize)] = &[];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let longer: BTreeMap<&str, usize> = LONGER.iter().copied().collect();
    let mut findings = Vec::new();
    for file in &tree.rust {
        let path = file.path.display().to_string();
        let lines = file.code.lines().count();
        let file_max = bound(&longer, &path, FILE_LINES_MAX);
        if let Some(fix) = verdict(lines, file_max, FILE_LINES_MAX, "split it by its nouns") {
            findings.push(Finding::new(&file.path, 1, format!("{lines} lines"), fix));
        }
        for function in functions(&file.code) {
            let key = format!("{path}::{}", function.name);
            let max = bound(&longer, &key, FUNCTION_LINES_MAX);
            let advice = "take steps out of it";
            if let Some(fix) = verdict(function.lines, max, FUNCTION_LINES_MAX, advice) {
                let what = format!("`{}` has {} lines", function.name, function.lines);
                findings.push(Finding::new(&file.path, function.line, what, fix));
            }
        }
    }
    findings
}

fn bound(longer: &BTreeMap<&str, usize>, key: &str, max: usize) -> usize {
    longer.get(key).copied().unwrap_or(max)
}

/// What to do about a length, if anything: the ratchet turns one way only.
fn verdict(lines: usize, bound: usize, max: usize, advice: &str) -> Option<String> {
    let list = "xtask/src/tidy/length.rs";
    if lines > bound {
        Some(format!("at most {bound} are allowed: {advice}"))
    } else if bound > max && lines <= max {
        Some(format!("remove its entry from {list}"))
    } else if bound > max && lines < bound {
        Some(format!("lower its entry in {list} to {lines}"))
    } else {
        None
    }
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// Every function with a body in scrubbed code.
fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let before = code[..start].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[start + 3..];
        let name: String = rest
            .trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if let (false, Some(end)) = (name.is_empty(), body_end(rest)) {
            found.push(Function {
                name,
                line: code[..start].matches('\n').count() + 1,
                lines: rest[..end].matches('\n').count() + 1,
            });
        }
    }
    found
}

/// Where the body that follows a signature ends; `None` for a signature without body.
fn body_end(rest: &str) -> Option<usize> {
    let (mut brackets, mut braces) = (0usize, 0usize);
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if brackets == 0 && braces == 0 => return None,
            '{' if brackets == 0 || braces > 0 => braces += 1,
            '}' if braces == 1 => return Some(at),
            '}' => braces = braces.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let code = "\
trait T {
    fn signature(&self) -> [u8; 4];
}
pub(crate) async fn short<const N: usize>(x: [u8; 3], f: impl Fn()) -> R { g(|| { 1 }) }
fn long(
    call: fn (u8),
) where
    A: B,
{
    fn inner() {
    }
    match x { Y { .. } => {} }
}
";
        let found: Vec<_> = functions(code)
            .into_iter()
            .map(|function| (function.name, function.line, function.lines))
            .collect();
        let expected = [("short", 4, 1), ("long", 5, 9), ("inner", 10, 2)];
        assert_eq!(
            found,
            expected.map(|(name, line, lines)| (name.to_owned(), line, lines))
        );
    }

    #[test]
    fn the_ratchet_turns_one_way() {
        assert_eq!(verdict(800, 800, 800, ""), None);
        assert!(verdict(801, 800, 800, "").is_some_and(|fix| fix.starts_with("at most 800")));
        assert_eq!(verdict(900, 900, 800, ""), None);
        assert!(verdict(901, 900, 800, "").is_some_and(|fix| fix.starts_with("at most 900")));
        assert!(verdict(899, 900, 800, "").is_some_and(|fix| fix.starts_with("lower")));
        assert!(verdict(700, 900, 800, "").is_some_and(|fix| fix.starts_with("remove")));
    }
}
