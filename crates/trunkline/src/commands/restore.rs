use super::journal::refused;
use crate::{
    args::RestoreArgs,
    backup::{Contents, Landing, Watched, read_archive, read_directory, write_file},
    context::Context,
    failure::Failure,
    progress,
    signal::Stop,
    text,
};
use indicatif::ProgressBar;
use serde_json::json;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{task::spawn_blocking, time::timeout};
use trunkline_engine_embedded::{Embedded, EmbeddedConfig, Location};
use trunkline_gateway::BackupManifest;
use trunkline_journal::{RealDisk, RecoveryReport, verify};
use trunkline_model::{Admin, Caller, Engine, Health, Outcome, Timestamp, oneshot};

const TEMPLATE: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
/// Topics asked for at once.
const TOPICS: usize = 1_000;
/// Longest wait for the store to close.
const CLOSE_WITHIN: Duration = Duration::from_secs(30);

pub(crate) async fn restore(context: &Context, args: RestoreArgs) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let landing = target(&args.dir)?;
    let bar = ProgressBar::new(0).with_style(progress::style(TEMPLATE));
    let (source, seen, watched) = (args.source, Arc::clone(&interrupted), bar.clone());
    let mut work = spawn_blocking(move || {
        let contents = unpack(&source, &landing, &watched, &seen)?;
        let report = check(&landing, &watched)?;
        Ok::<_, Failure>((landing, contents, report))
    });
    let unpacked = tokio::select! {
        unpacked = &mut work => unpacked,
        () = stop.asked() => {
            interrupted.store(true, Ordering::Relaxed);
            work.await
        }
    };
    bar.finish_and_clear();
    if interrupted.load(Ordering::Relaxed) {
        return Err(Failure::failed("interrupted"));
    }
    let unpacked = unpacked.map_err(|_| Failure::failed("restoring was cut off"))?;
    let (landing, contents, report) = unpacked?;
    let holds = open_once(landing.partial(), &contents).await?;
    landing.land()?;
    tell(context, &args.dir, &contents, &report, &holds)?;
    Ok(())
}

/// A directory that nobody uses.
fn target(dir: &Path) -> Result<Landing, Failure> {
    if let Ok(disk) = RealDisk::existing(dir)
        && is_in_use(&disk)
    {
        return Err(Failure::usage(format!(
            "{} is in use by a running server; choose another directory",
            dir.display()
        )));
    }
    Landing::directory(dir)
}

fn is_in_use(disk: &RealDisk) -> bool {
    use trunkline_journal::{Disk, FileRole};
    let lock = |name: &str| {
        let locked = disk.lock(name);
        locked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    };
    let files = disk.list().unwrap_or_default();
    let mut locks = files
        .iter()
        .filter(|file| FileRole::of(&file.name) == Some(FileRole::Lock));
    locks.any(|file| lock(&file.name))
}

/// Writes the files of the store.
fn unpack(
    source: &str,
    landing: &Landing,
    bar: &ProgressBar,
    stop: &Arc<AtomicBool>,
) -> Result<Contents, Failure> {
    bar.set_message("unpacking");
    let dir = landing.partial();
    let mut take = |name: &str, from: &mut dyn Read| match name {
        BackupManifest::FILE => Ok(0),
        name => write_file(&dir.join(name), from),
    };
    let path = Path::new(source);
    let watched = |inner: Box<dyn Read>| Watched {
        inner,
        bar: bar.clone(),
        stop: Arc::clone(stop),
    };
    if source == "-" {
        return read_archive(watched(Box::new(io::stdin())), &mut take);
    }
    let named = |error: io::Error| Failure::usage(format!("{source}: {error}"));
    if path.metadata().map_err(named)?.is_dir() {
        let disk = RealDisk::existing(path).map_err(named)?;
        if is_in_use(&disk) {
            return Err(Failure::usage(format!(
                "{source} is in use by a running server; use trunkline backup for a copy of it"
            )));
        }
        return read_directory(path, bar, stop, &mut take);
    }
    let file = File::open(path).map_err(named)?;
    bar.set_length(file.metadata().map_err(named)?.len());
    read_archive(watched(Box::new(file)), &mut take)
}

/// Reads everything back and checks every checksum.
fn check(landing: &Landing, bar: &ProgressBar) -> Result<RecoveryReport, Failure> {
    bar.set_message("verifying");
    let disk = RealDisk::existing(landing.partial())?;
    let report = verify(&disk, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    Ok(report.map_err(refused)?.recovery)
}

/// What is in the store.
#[derive(Default)]
struct Holds {
    topics: u64,
    messages: u64,
}

/// Opens the store as a server would, looks, and closes it.
async fn open_once(dir: &Path, contents: &Contents) -> Result<Holds, Failure> {
    let mut config = EmbeddedConfig::new(Location::Directory(dir.to_owned()));
    // Whatever is made in it is as large as what is there.
    if let Some(bytes) = contents.files.values().max() {
        config.journal.segment_bytes = *bytes as u32;
    }
    let opened = spawn_blocking(move || Embedded::open(config)).await;
    let opened = opened.map_err(|_| Failure::failed("opening was cut off"))?;
    let engine = opened.map_err(|error| Failure::failed(error.to_string()))?;
    let holds = look(&engine).await;
    let mut health = engine.health();
    engine.close(CLOSE_WITHIN);
    let closed = health.wait_for(|health| *health == Health::Closed);
    if !matches!(timeout(CLOSE_WITHIN, closed).await, Ok(Ok(_))) {
        return Err(Failure::failed("the restored store doesn't close"));
    }
    holds
}

async fn look(engine: &Embedded) -> Result<Holds, Failure> {
    let mut holds = Holds::default();
    let mut after = None;
    loop {
        let (completion, outcome) = oneshot();
        let limit = TOPICS;
        engine.admin(&Caller::system(), Admin::List { after, limit }, completion);
        let topics = match outcome.await {
            Ok(Outcome::Topics(topics)) => topics,
            Ok(other) => return Err(Failure::failed(format!("{other:?} is no list of topics"))),
            Err(error) => return Err(Failure::failed(error.to_string())),
        };
        holds.topics += topics.len() as u64;
        holds.messages += topics.iter().map(|topic| topic.messages).sum::<u64>();
        match topics.last() {
            Some(last) if topics.len() == limit => after = Some(last.name.clone()),
            _ => return Ok(holds),
        }
    }
}

fn tell(
    context: &Context,
    dir: &Path,
    contents: &Contents,
    report: &RecoveryReport,
    holds: &Holds,
) -> io::Result<()> {
    let last = Timestamp::from_micros(report.last_now);
    if context.output.json {
        return context.output.object(&json!({
            "dir": dir.display().to_string(), "bytes": contents.bytes(),
            "topics": holds.topics, "messages": holds.messages,
            "last_lsn": report.last_lsn.0, "last_at": last.to_string(),
            "made_at": contents.manifest.as_ref().map(|manifest| &manifest.made_at),
        }));
    }
    context.output.line(&format!(
        "{}: {} with {}, up to {last} (record {}); intact",
        dir.display(),
        text::counted(holds.topics, "topic"),
        text::counted(holds.messages, "message"),
        text::count(report.last_lsn.0),
    ))?;
    let command = format!(
        "start a server on it: trunkline serve --data {}",
        dir.display()
    );
    context.output.line(&command)
}
