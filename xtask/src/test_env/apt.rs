//! Packages of Debian and Ubuntu.

use std::process::Command;

use anyhow::bail;

use crate::process;

/// Installs packages with apt-get, as root or through sudo. `otherwise` says what the reader can
/// do by hand where that isn't possible.
pub(crate) fn install(packages: &[&str], otherwise: &str) -> anyhow::Result<()> {
    let names = packages.join(" ");
    let way = Way::of(
        process::find(&["apt-get"]).is_some(),
        is_root(),
        process::find(&["sudo"]).is_some(),
    );
    let Some(apt_get) = way.command() else {
        bail!("{}", way.refusal(&names, otherwise));
    };
    eprintln!("xtask: installing {names} with apt-get");
    process::run(apt_get().arg("update").arg("--quiet=2"))?;
    process::run(
        apt_get()
            .args(["install", "--yes", "--quiet=2", "--no-install-recommends"])
            .args(packages),
    )
}

/// How packages get onto this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    AsRoot,
    WithSudo,
    /// There is an apt-get, but we may not use it.
    NotAllowed,
    NoAptGet,
}

impl Way {
    fn of(apt_get: bool, root: bool, sudo: bool) -> Way {
        match (apt_get, root, sudo) {
            (false, _, _) => Way::NoAptGet,
            (true, true, _) => Way::AsRoot,
            (true, false, true) => Way::WithSudo,
            (true, false, false) => Way::NotAllowed,
        }
    }

    /// What makes an apt-get that asks nothing.
    fn command(self) -> Option<fn() -> Command> {
        match self {
            Way::AsRoot => Some(|| {
                let mut command = Command::new("apt-get");
                command.env("DEBIAN_FRONTEND", "noninteractive");
                command
            }),
            Way::WithSudo => Some(|| {
                let mut command = Command::new("sudo");
                command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
                command
            }),
            Way::NotAllowed | Way::NoAptGet => None,
        }
    }

    fn refusal(self, names: &str, otherwise: &str) -> String {
        match self {
            Way::NotAllowed => format!(
                "{names} is missing; run `apt-get install {names}` as root (there is no sudo), \
                 or: {otherwise}"
            ),
            _ => format!("{names} is missing, and there is no apt-get to install it: {otherwise}"),
        }
    }
}

/// Without libc: the owner of our own process.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_come_as_root_or_through_sudo_or_the_reader_is_told_what_to_do() {
        for (apt_get, root, sudo, way, program) in [
            (true, true, false, Way::AsRoot, Some("apt-get")),
            (true, true, true, Way::AsRoot, Some("apt-get")),
            (true, false, true, Way::WithSudo, Some("sudo")),
            (true, false, false, Way::NotAllowed, None),
            (false, true, true, Way::NoAptGet, None),
        ] {
            assert_eq!(Way::of(apt_get, root, sudo), way);
            let command = way.command().map(|command| command());
            let found = command.as_ref().map(Command::get_program);
            assert_eq!(found, program.map(AsRef::as_ref), "{way:?}");
        }
        for way in [Way::NotAllowed, Way::NoAptGet] {
            let told = way.refusal("redis-server", "set THIS");
            assert!(
                told.contains("redis-server") && told.ends_with("set THIS"),
                "{told}"
            );
        }
    }
}
