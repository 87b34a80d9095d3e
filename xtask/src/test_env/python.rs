//! A Python environment of our own, so that nothing is installed into the machine's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::apt;
use crate::process;

/// The variable in which tests find the interpreter.
pub(crate) const VARIABLE: &str = "TRUNKLINE_TEST_PYTHON";

/// What pip installs. The stamp beside the environment holds this text, so that a change here
/// is enough to change the environments of all machines.
const REQUIREMENTS: &[&str] = &["websockets>=13,<17"];

/// An interpreter that can `import websockets`. Made once; afterwards this only checks.
pub(crate) fn python(folder: &Path) -> anyhow::Result<PathBuf> {
    if let Some(chosen) = std::env::var_os(VARIABLE).filter(|chosen| !chosen.is_empty()) {
        return Ok(chosen.into());
    }
    let environment = folder.join("venv");
    let interpreter = environment.join("bin/python");
    let stamp = folder.join("venv.stamp");
    let wanted = REQUIREMENTS.join("\n");
    let stamped = fs::read_to_string(&stamp).is_ok_and(|stamped| stamped == wanted);
    if stamped && imports(&interpreter, "websockets") {
        return Ok(interpreter);
    }
    make(&environment, &interpreter)
        .with_context(|| format!("can't make {}", environment.display()))?;
    fs::write(&stamp, wanted).with_context(|| format!("can't write {}", stamp.display()))?;
    Ok(interpreter)
}

fn make(environment: &Path, interpreter: &Path) -> anyhow::Result<()> {
    if !imports(Path::new("python3"), "venv, ensurepip") {
        apt::install(
            &["python3-venv"],
            &format!("set {VARIABLE} to a Python 3 that has the package websockets"),
        )?;
    }
    eprintln!("xtask: making {}", environment.display());
    let make = ["-m", "venv", "--clear"];
    process::run(Command::new("python3").args(make).arg(environment))?;
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
