//! A Node.js with modules of our own, so that nothing is installed into the machine's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::{chosen, programs, stamp};
use crate::process;

/// The variable in which tests find the interpreter.
pub(super) const VARIABLE: &str = "TRUNKLINE_TEST_NODE";

/// What it may name.
pub(super) const WHAT: &str = "a Node.js that can require @stomp/stompjs, ws and stompit";

pub(super) const NAMES: &[&str] = &["node", "nodejs"];
/// The oldest that the modules run on.
pub(super) const CHECK: &[&str] = &[
    "--eval",
    "process.exit(process.versions.node.split('.')[0] >= 16 ? 0 : 1)",
];

/// What npm installs.
const PACKAGE: &str = r#"{
  "private": true,
  "dependencies": {
    "@stomp/stompjs": "^7.0.0",
    "stompit": "^1.0.0",
    "ws": "^8.17.0"
  }
}
"#;

/// An interpreter with what tests require. Made once; afterwards this only checks.
pub(super) fn node(folder: &Path) -> anyhow::Result<PathBuf> {
    if let Some(chosen) = chosen(VARIABLE) {
        return Ok(chosen.into());
    }
    let interpreter = folder.join("node/node");
    let require = "require('@stomp/stompjs'); require('stompit'); require('ws')";
    let works = || process::succeeds(Command::new(&interpreter).args(["--eval", require]));
    stamp::once(folder, "node", PACKAGE, works, |environment| {
        make(environment, &interpreter)
    })?;
    Ok(interpreter)
}

fn make(environment: &Path, interpreter: &Path) -> anyhow::Result<()> {
    let node = programs::find(NAMES, CHECK).context("there is no Node.js 16 or later")?;
    fs::create_dir_all(environment)?;
    fs::write(environment.join("package.json"), PACKAGE)?;
    process::run(
        Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(environment),
    )?;
    fs::write(
        interpreter,
        script(&node, &environment.join("node_modules")),
    )?;
    fs::set_permissions(interpreter, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Node.js itself looks for modules only beside the file that asks for them.
fn script(node: &Path, modules: &Path) -> String {
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    format!(
        "#!/bin/sh\nNODE_PATH={} exec {} \"$@\"\n",
        quoted(modules),
        quoted(node)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_quotes_what_a_shell_would_read() {
        assert_eq!(
            script(Path::new("/usr/bin/node"), Path::new("/it's here/modules")),
            "#!/bin/sh\nNODE_PATH='/it'\\''s here/modules' exec '/usr/bin/node' \"$@\"\n"
        );
    }
}
