//! Packages of Debian and Ubuntu.

use std::process::Command;

use anyhow::bail;

use crate::process;

/// Installs packages with apt-get, as root or through sudo. `otherwise` says what the reader can
/// do by hand where that isn't possible.
pub(crate) fn install(packages: &[&str], otherwise: &str) -> anyhow::Result<()> {
    let names = packages.join(" ");
    if process::find(&["apt-get"]).is_none() {
        bail!("{names} is missing, and there is no apt-get to install it: {otherwise}");
    }
    if !is_root() && process::find(&["sudo"]).is_none() {
        bail!(
            "{names} is missing; run `apt-get install {names}` as root (there is no sudo), \
             or: {otherwise}"
        );
    }
    eprintln!("xtask: installing {names} with apt-get");
    process::run(apt_get().arg("update").arg("--quiet=2"))?;
    process::run(
        apt_get()
            .args(["install", "--yes", "--quiet=2", "--no-install-recommends"])
            .args(packages),
    )
}

fn apt_get() -> Command {
    if is_root() {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        return command;
    }
    let mut command = Command::new("sudo");
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    command
}

/// Without libc: the owner of our own process.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0)
}
