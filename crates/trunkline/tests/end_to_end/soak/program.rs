//! A consumer that is a process of its own, killed or ended again and again.

use super::{
    consumer::{Delivery, Place, note},
    dice::Dice,
    ledger::{Breach, Session},
    world::World,
};
use crate::setup::trunkline;
use rustix::process::{Pid, Signal, kill_process};
use std::{process::Stdio, sync::Arc};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

/// Runs `trunkline consume` until the server is gone. What it printed may be acked: if it ended
/// well after a SIGTERM, all of that is.
pub(crate) async fn consume(
    world: Arc<World>,
    url: String,
    place: Place,
    mut dice: Dice,
) -> Result<u64, Breach> {
    let mut kills = 0;
    loop {
        let (lines, signal) = (dice.between(1, 400), dice.chance(3, 4));
        let signal = if signal { Signal::KILL } else { Signal::TERM };
        if !session(&world, &url, place, lines, signal).await? {
            return Ok(kills);
        }
        kills += u64::from(signal == Signal::KILL);
    }
}

/// One process, ended after so many lines; false if it ended before, with its server.
async fn session(
    world: &World,
    url: &str,
    place: Place,
    lines_max: u64,
    signal: Signal,
) -> Result<bool, Breach> {
    let topic = world.ledger(place.topic).kind.topic;
    let arguments = ["--url", url, "--json", "consume", topic, "-s"];
    let mut command = Command::from(trunkline(&arguments));
    command
        .arg(place.subscription)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut printed = BufReader::new(child.stdout.take().expect("it is piped"));
    let (mut session, mut numbers, mut lines) = (Session::new(), Vec::new(), 0);
    let mut line = String::new();
    while let Ok(1..) = printed.read_line(&mut line).await {
        // What is not written to its end was not acked either.
        if !line.ends_with('\n') {
            break;
        }
        let delivery: Delivery =
            serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"))?;
        let number = note(world, place, &mut session, delivery)?;
        world
            .ledger(place.topic)
            .settling(place.subscription, &[number]);
        numbers.push(number);
        world.count(1);
        line.clear();
        lines += 1;
        if lines == lines_max {
            let pid = child.id().and_then(|id| Pid::from_raw(id as i32));
            // It may have ended by itself just now.
            pid.map(|pid| kill_process(pid, signal));
        }
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if status.success() {
        world
            .ledger(place.topic)
            .settled(place.subscription, &numbers);
    }
    Ok(lines >= lines_max)
}
