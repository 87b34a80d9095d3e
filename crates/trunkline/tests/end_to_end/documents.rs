//! The commands that documents show, run, with what they print.
//!
//! In a block ```` ```console ```` a line that begins with `$ ` is a command, what follows it is
//! what it prints, on stdout and stderr. `…` stands for anything within a line; a line that is
//! nothing else stands for any number of lines. Every section (`## `) has a server and a
//! directory of its own.

use crate::setup::store;
use std::{env, ffi::OsString, path::Path, process::Command};
use tempfile::TempDir;

#[test]
fn the_page_on_topics_shows_what_happens() {
    assert!(check(include_str!("../../../../docs/topics.md")) > 30);
}

#[derive(Debug, Default, PartialEq)]
struct Step {
    line: usize,
    command: String,
    prints: Vec<String>,
}

/// Runs all commands of a document; how many there were.
fn check(document: &str) -> usize {
    let mut commands = 0;
    for section in sections(document) {
        if section.is_empty() {
            continue;
        }
        let (store, directory) = (store(), TempDir::new().unwrap());
        let server = store.serve();
        for step in &section {
            let printed = run(&step.command, &server.url, directory.path());
            let lines: Vec<_> = printed.lines().collect();
            let expected: Vec<_> = step.prints.iter().map(String::as_str).collect();
            assert!(
                same(&expected, &lines),
                "line {}: $ {}\nexpected:\n{}\nprinted:\n{}",
                step.line,
                step.command,
                expected.join("\n"),
                lines.join("\n")
            );
            commands += 1;
        }
    }
    commands
}

fn sections(document: &str) -> Vec<Vec<Step>> {
    let mut sections = vec![Vec::new()];
    let mut inside = false;
    for (index, line) in document.lines().enumerate() {
        if line.starts_with("## ") {
            sections.push(Vec::new());
        }
        if line.starts_with("```") {
            inside = line == "```console";
            continue;
        }
        if !inside {
            continue;
        }
        let steps: &mut Vec<Step> = sections.last_mut().unwrap();
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step {
                line: index + 1,
                command: command.to_owned(),
                prints: Vec::new(),
            }),
            (None, Some(step)) if step.command.ends_with('\\') => {
                step.command.push('\n');
                step.command.push_str(line);
            }
            (None, Some(step)) => step.prints.push(line.trim_end().to_owned()),
            (None, None) => panic!("line {}: printed by no command", index + 1),
        }
    }
    sections
}

fn run(command: &str, url: &str, directory: &Path) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_trunkline"));
    let mut path = OsString::from(program.parent().unwrap());
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("{{ {command}\n}} 2>&1"))
        .current_dir(directory)
        .env("PATH", path)
        .env("TRUNKLINE_URL", url)
        .env_remove("TRUNKLINE_TOKEN")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Whether lines are those that are expected, however wide the columns are.
fn same(expected: &[&str], lines: &[&str]) -> bool {
    let words = |line: &&str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let [expected, lines]: [Vec<String>; 2] =
        [expected, lines].map(|lines| lines.iter().map(words).collect());
    let [expected, lines]: [Vec<&str>; 2] =
        [&expected, &lines].map(|lines| lines.iter().map(String::as_str).collect());
    matches(&expected, &lines)
}

fn matches(expected: &[&str], lines: &[&str]) -> bool {
    match (expected.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((&"…", rest)), _) => {
            (0..=lines.len()).any(|skipped| matches(rest, &lines[skipped..]))
        }
        (Some((first, rest)), Some((line, others))) => fits(first, line) && matches(rest, others),
        _ => false,
    }
}

/// Whether a line is the one that is expected.
fn fits(expected: &str, line: &str) -> bool {
    match expected.split_once('…') {
        None => expected == line,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            let ends = rest
                .char_indices()
                .map(|(index, _)| index)
                .chain([rest.len()]);
            ends.into_iter().any(|end| fits(after, &rest[end..]))
        }),
    }
}

#[test]
fn lines_fit_what_is_expected() {
    for (expected, printed, fit) in [
        ("a", "a", true),
        ("a", "b", false),
        ("a … c", "a b c", true),
        ("a …", "a ", true),
        ("a … c", "a b d", false),
        ("a\n…\nd", "a\nb\nc\nd", true),
        ("a\n…", "a", true),
        ("a\n…\nd", "a\nb", false),
        ("a", "a\nb", false),
        ("", "", true),
    ] {
        let (expected, printed) = (expected.lines(), printed.lines());
        let (expected, printed): (Vec<_>, Vec<_>) = (expected.collect(), printed.collect());
        assert_eq!(
            matches(&expected, &printed),
            fit,
            "{expected:?} {printed:?}"
        );
    }
    let steps =
        sections("```sh\n$ no\n```\n## a\n```console\n$ one \\\n  two\n1\n\n$ three\n```\n");
    let step = |line, command: &str, prints: &[&str]| Step {
        line,
        command: command.to_owned(),
        prints: prints.iter().map(ToString::to_string).collect(),
    };
    let expected = vec![step(6, "one \\\n  two", &["1", ""]), step(10, "three", &[])];
    assert_eq!(steps, [Vec::new(), expected]);
}
