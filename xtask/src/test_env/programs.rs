//! Programs that the distribution has.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

use super::{apt, chosen, node, python};
use crate::process;

/// A program that tests run.
struct Program {
    /// The variable in which they find it.
    variable: &'static str,
    /// What the reader can name there.
    what: &'static str,
    /// Where it is looked for: names in the `PATH`, or whole paths.
    names: &'static [&'static str],
    /// What it must be able to do, so that it is the right one.
    check: &'static [&'static str],
    /// What brings it.
    packages: &'static [&'static str],
}

/// The tests get a variable for each.
const NAMED: &[Program] = &[
    Program {
        variable: "TRUNKLINE_TEST_CHROMIUM",
        what: "a Chromium or Chrome",
        names: &[
            "chromium",
            "chromium-browser",
            "google-chrome",
            "google-chrome-stable",
        ],
        // Ubuntu's package outside of snap is a script that only says where the browser would be.
        check: &["--version"],
        packages: &["chromium"],
    },
    Program {
        variable: "TRUNKLINE_TEST_RABBITMQ",
        what: "the script rabbitmq-server of a RabbitMQ",
        // The one in the `PATH` of packages drops its environment, and ours is all we give it.
        names: &["/usr/lib/rabbitmq/bin/rabbitmq-server"],
        check: &[],
        packages: &["rabbitmq-server"],
    },
    Program {
        variable: super::REDIS,
        what: "a redis-server",
        names: &["redis-server"],
        check: &["--version"],
        packages: &["redis-server"],
    },
    Program {
        variable: "TRUNKLINE_TEST_NC",
        what: "an nc (netcat)",
        names: &["nc"],
        check: &[],
        packages: &["netcat-openbsd"],
    },
    Program {
        variable: "TRUNKLINE_TEST_PERL",
        what: "a Perl that has Net::Stomp",
        names: &["perl", "/usr/bin/perl"],
        check: &["-MNet::Stomp", "-e", "1"],
        packages: &["libnet-stomp-perl"],
    },
    Program {
        variable: "TRUNKLINE_TEST_RUBY",
        what: "a Ruby that has the gem stomp",
        names: &["ruby", "/usr/bin/ruby"],
        check: &["-rstomp", "-e", "1"],
        packages: &["ruby", "ruby-stomp"],
    },
];

/// What is only needed to make the environments of Python and Node.js. The variable is that of
/// the environment.
const NEEDED: &[Program] = &[
    Program {
        variable: python::VARIABLE,
        what: python::WHAT,
        names: python::NAMES,
        check: python::CHECK,
        packages: &["python3-venv"],
    },
    Program {
        variable: node::VARIABLE,
        what: node::WHAT,
        names: node::NAMES,
        check: node::CHECK,
        packages: &["nodejs"],
    },
    Program {
        variable: node::VARIABLE,
        what: node::WHAT,
        names: &["npm"],
        check: &[],
        packages: &["npm"],
    },
];

impl Program {
    fn find(&self) -> Option<PathBuf> {
        find(self.names, self.check)
    }

    fn is_missing(&self) -> bool {
        chosen(self.variable).is_none() && self.find().is_none()
    }

    fn by_hand(&self) -> String {
        format!("set {} to the path of {}", self.variable, self.what)
    }
}

/// The first of these that runs with these arguments, if there are any, and succeeds.
pub(super) fn find(names: &[&str], check: &[&str]) -> Option<PathBuf> {
    let candidates = names.iter().filter_map(|name| process::find(&[name]));
    let mut working = candidates.filter(|program| works(program, check));
    working.next()
}

fn works(program: &Path, check: &[&str]) -> bool {
    check.is_empty() || process::succeeds(Command::new(program).args(check))
}

/// All at one go: the lists of packages are fetched once.
pub(super) fn install_missing() -> anyhow::Result<()> {
    let all = || NAMED.iter().chain(NEEDED);
    let missing: Vec<_> = all().filter(|program| program.is_missing()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing
        .iter()
        .flat_map(|program| program.packages.iter().copied())
        .collect::<Vec<_>>();
    let by_hand: Vec<_> = missing.iter().map(|program| program.by_hand()).collect();
    apt::install(&packages, &by_hand.join("; "))?;
    match missing.iter().find(|program| program.is_missing()) {
        Some(program) => bail!(
            "apt-get installed no {} that works: {}",
            program.packages.join(" "),
            program.by_hand()
        ),
        None => Ok(()),
    }
}

/// After [`install_missing`].
pub(super) fn variables() -> anyhow::Result<Vec<(&'static str, OsString)>> {
    let mut variables = Vec::new();
    for program in NAMED {
        let found = chosen(program.variable).or_else(|| program.find().map(OsString::from));
        match found {
            Some(found) => variables.push((program.variable, found)),
            None => bail!("{}", program.by_hand()),
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_works_is_found() {
        let shell = process::find(&["sh"]);
        assert!(shell.is_some());
        assert_eq!(find(&["no-such-program", "sh"], &["-c", ":"]), shell);
        assert_eq!(find(&["false", "sh"], &["-c", ":"]), shell);
        assert_eq!(find(&["sh"], &["-c", "exit 1"]), None);
        assert_eq!(find(&["/no/such/program"], &[]), None);
        let whole = shell.clone().unwrap();
        assert_eq!(find(&[whole.to_str().unwrap()], &["-c", ":"]), shell);
    }

    #[test]
    fn each_can_be_named_by_hand() {
        for program in NAMED.iter().chain(NEEDED) {
            let told = program.by_hand();
            assert!(told.starts_with("set TRUNKLINE_TEST_"), "{told}");
            assert!(!program.packages.is_empty(), "{told}");
        }
    }
}
