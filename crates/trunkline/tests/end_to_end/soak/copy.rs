//! A copy of the store that is made while everybody is at work, and what may and must be in it.

use super::{
    audit::empty_all,
    ledger::{Breach, Ledger},
    serve_on, target,
    world::World,
};
use crate::setup::{Server, run, text, trunkline};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{process::Command, task::block_in_place};

/// A copy, and the ledgers just before it was asked for and just after it was there.
pub(crate) struct Copy {
    dir: PathBuf,
    before: Vec<Ledger>,
    after: Vec<Ledger>,
}

/// Makes one in `dir`, once so many events have passed; `None` if the server was ended
/// meanwhile. Nothing may be left then.
pub(crate) async fn make(
    world: Arc<World>,
    url: String,
    events: u64,
    dir: PathBuf,
) -> Result<Option<Copy>, Breach> {
    world.until(events).await;
    let before = world.ledgers();
    let mut command = Command::from(trunkline(&["--url", &url, "backup", text(&dir)]));
    let ended = command.kill_on_drop(true).output().await;
    let ended = ended.map_err(|error| error.to_string())?;
    let after = world.ledgers();
    if ended.status.success() {
        return Ok(Some(Copy { dir, before, after }));
    }
    let partial = dir.with_extension("partial");
    match ended.status.code() {
        Some(1 | 3) if !dir.exists() && !partial.exists() => Ok(None),
        _ => Err(format!(
            "a backup was cut off and left something: {ended:?}"
        )),
    }
}

impl Copy {
    /// Restores it beside, starts a server on it, and compares what that has with the ledgers.
    pub(crate) async fn check(self) -> Result<(), Breach> {
        let restored = self.dir.with_extension("restored");
        let server = block_in_place(|| {
            let restore = trunkline(&["restore", text(&self.dir), text(&restored)]);
            let ran = run(restore, b"");
            match ran.code {
                Some(0) => Server::try_of(serve_on(&restored)),
                _ => Err(format!("a copy can't be restored: {ran:?}")),
            }
        })?;
        let ledgers = self.before.iter().zip(&self.after);
        let ledgers = ledgers.map(|(before, after)| Ledger::between(before, after));
        let world = World::of(ledgers.collect());
        let emptied = empty_all(&world, &target(&server)).await;
        emptied.map_err(|breach| format!("in a copy: {breach}"))?;
        block_in_place(|| server.kill());
        remove(&self.dir)?;
        remove(&restored)
    }
}

fn remove(dir: &Path) -> Result<(), Breach> {
    fs::remove_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))
}
