//! A Chromium for the test of the browser example.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::apt;
use crate::process;

/// The variable in which tests find the browser.
pub(crate) const VARIABLE: &str = "TRUNKLINE_TEST_CHROMIUM";

const NAMES: &[&str] = &[
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// A Chromium or Chrome that runs.
pub(crate) fn chromium() -> anyhow::Result<PathBuf> {
    if let Some(chosen) = std::env::var_os(VARIABLE).filter(|chosen| !chosen.is_empty()) {
        return Ok(chosen.into());
    }
    let by_hand = format!("set {VARIABLE} to the path of a Chromium or Chrome");
    if let Some(found) = installed() {
        return Ok(found);
    }
    apt::install(&["chromium"], &by_hand)?;
    installed().with_context(|| format!("apt-get installed no Chromium that runs: {by_hand}"))
}

/// Asked for its version, because Ubuntu's package outside of snap is a script that only says
/// where the browser would be.
fn installed() -> Option<PathBuf> {
    process::find(NAMES).filter(|program| runs(program))
}

fn runs(program: &Path) -> bool {
    process::succeeds(Command::new(program).arg("--version"))
}
