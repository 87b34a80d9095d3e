//! Environments that are made once, and again when what they shall hold changes.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// Makes an environment unless it was made for the same `wanted` and still works. The file
/// `NAME.stamp` in `folder` says what it was made for, so that a change of that is enough to
/// change the environments of all machines.
pub(super) fn once(
    folder: &Path,
    name: &str,
    wanted: &str,
    works: impl Fn() -> bool,
    make: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stamp = folder.join(format!("{name}.stamp"));
    let stamped = fs::read_to_string(&stamp).is_ok_and(|stamped| stamped == wanted);
    if stamped && works() {
        return Ok(());
    }
    let environment = folder.join(name);
    eprintln!("xtask: making {}", environment.display());
    fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    make(&environment).with_context(|| format!("can't make {}", environment.display()))?;
    fs::write(&stamp, wanted).with_context(|| format!("can't write {}", stamp.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_made_again_if_it_broke_or_something_else_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("not-there-yet");
        for (wanted, works, made) in [
            ("a", false, true),
            ("a", true, false),
            ("a", false, true),
            ("b", true, true),
            ("b", true, false),
        ] {
            let mut ran = false;
            let make = |environment: &Path| {
                assert_eq!(environment, folder.join("env"));
                ran = true;
                Ok(())
            };
            once(&folder, "env", wanted, || works, make).unwrap();
            assert_eq!(ran, made, "{wanted}, works: {works}");
        }
    }

    #[test]
    fn what_could_not_be_made_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let fails = |_: &Path| anyhow::bail!("no network");
        let error = once(folder.path(), "env", "a", || true, fails).unwrap_err();
        assert!(format!("{error:#}").ends_with("env: no network"));
        let mut ran = false;
        let make = |_: &Path| {
            ran = true;
            Ok(())
        };
        once(folder.path(), "env", "a", || true, make).unwrap();
        assert!(ran);
    }
}
