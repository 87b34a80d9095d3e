//! Completions and manual pages.

use crate::setup::{run, text, trunkline};
use std::{collections::BTreeSet, fs, path::Path, process::Command};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

fn script(shell: &str) -> String {
    run(trunkline(&["completions", shell]), b"").ok()
}

/// What a real bash offers for a line that was typed so far.
fn offered(line: &str) -> BTreeSet<String> {
    let ask = r#"
        set -eu
        source "$1"
        read -ra COMP_WORDS <<<"$2"
        if [[ "$2" == *' ' ]]; then COMP_WORDS+=(""); fi
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        COMP_LINE=$2 COMP_POINT=${#2} COMPREPLY=()
        last=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
        _trunkline trunkline "$last" "$before"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trunkline.bash");
    fs::write(&path, script("bash")).unwrap();
    let mut bash = Command::new("bash");
    bash.args([
        "--norc",
        "--noprofile",
        "-c",
        ask,
        "bash",
        text(&path),
        line,
    ]);
    let words = run(bash, b"").ok();
    words.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    for shell in SHELLS {
        let script = script(shell);
        for word in ["end-to-end", "subscription", "idle-timeout"] {
            assert!(script.contains(word), "{shell} without {word}");
        }
    }
    run(trunkline(&["completions", "tcsh"]), b"").fails(2, "bash, elvish, fish");
}

#[test]
fn bash_accepts_its_script() {
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-n"]);
    let checked = run(bash, script("bash").as_bytes());
    assert_eq!((checked.code, checked.err.as_str()), (Some(0), ""));
}

#[test]
fn bash_completes_commands_and_options() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let publish: BTreeSet<String> = words(&["publish"]);
    assert_eq!(offered("trunkline publ"), publish);
    let below: BTreeSet<String> = words(&["end-to-end"]);
    assert_eq!(offered("trunkline bench end"), below);
    let option: BTreeSet<String> = words(&["--subscription"]);
    assert_eq!(offered("trunkline consume t --subs"), option);
    assert!(
        !offered("trunkline ").contains("demo-worker"),
        "it is hidden"
    );
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("made/man1");
    let written = run(trunkline(&["man", text(&pages)]), b"");
    assert_eq!(written.code, Some(0), "{written:?}");
    let names: BTreeSet<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in [
        "trunkline.1",
        "trunkline-publish.1",
        "trunkline-bench-end-to-end.1",
    ] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    assert!(
        !names.iter().any(|name| name.contains("demo-worker")),
        "{names:?}"
    );
    for name in &names {
        let page = fs::read_to_string(pages.join(name)).unwrap();
        let title = format!(".TH {} 1", name.trim_end_matches(".1"));
        assert!(page.contains(&title), "{name}: {page}");
    }
    for name in &names {
        renders(&pages.join(name));
    }
}

#[test]
fn the_page_on_stdout_is_that_of_the_program_and_tells_no_token() {
    let mut command = trunkline(&["man"]);
    command.env("TRUNKLINE_TOKEN", "s3cr3t-token");
    let page = run(command, b"").ok();
    for text in ["Exit codes", "publish", "TRUNKLINE_TOKEN", "SH NOTES"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("s3cr3t"), "{page}");
}

/// With groff, where there is one, and without a warning of it.
fn renders(page: &Path) {
    let mut groff = Command::new("groff");
    groff
        .args(["-man", "-Kutf8", "-Tutf8", "-ww", "-z"])
        .arg(page);
    let Ok(rendered) = groff.output() else {
        eprintln!("no groff here: {} is not rendered", page.display());
        return;
    };
    let said = String::from_utf8_lossy(&rendered.stderr);
    assert!(
        rendered.status.success() && said.is_empty(),
        "{}: {said}",
        page.display()
    );
}
