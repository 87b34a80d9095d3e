//! A Python environment of our own, so that nothing is installed into the machine's.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::{chosen, programs, stamp};
use crate::process;

/// The variable in which tests find the interpreter.
pub(super) const VARIABLE: &str = "TRUNKLINE_TEST_PYTHON";

/// What it may name.
pub(super) const WHAT: &str = "a Python 3 that has the packages websockets, stomp.py and redis";

pub(super) const NAMES: &[&str] = &["python3"];
pub(super) const CHECK: &[&str] = &["-c", "import venv, ensurepip"];

/// What pip installs.
const REQUIREMENTS: &[&str] = &["websockets>=13,<17", "stomp.py>=8.1,<10", "redis>=5,<8"];

/// An interpreter with what tests import. Made once; afterwards this only checks.
pub(super) fn python(folder: &Path) -> anyhow::Result<PathBuf> {
    if let Some(chosen) = chosen(VARIABLE) {
        return Ok(chosen.into());
    }
    let interpreter = folder.join("venv/bin/python");
    let works = || imports(&interpreter, "websockets, stomp, redis");
    stamp::once(folder, "venv", &REQUIREMENTS.join("\n"), works, |venv| {
        make(venv, &interpreter)
    })?;
    Ok(interpreter)
}

fn make(environment: &Path, interpreter: &Path) -> anyhow::Result<()> {
    let python = programs::find(NAMES, CHECK).context("there is no python3 with venv")?;
    let make = ["-m", "venv", "--clear"];
    process::run(Command::new(python).args(make).arg(environment))?;
    let install = ["-m", "pip", "install", "--quiet"];
    process::run(
        Command::new(interpreter)
            .args(install)
            .arg("--disable-pip-version-check")
            .args(REQUIREMENTS),
    )
}

fn imports(interpreter: &Path, modules: &str) -> bool {
    let import = format!("import {modules}");
    process::succeeds(Command::new(interpreter).args(["-c", &import]))
}
