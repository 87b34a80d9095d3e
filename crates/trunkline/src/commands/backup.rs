use crate::{
    args::BackupArgs,
    backup::{Contents, Download, Landing, Pieces, Watched, read_archive, write_file},
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
    io::{self, BufWriter, IsTerminal, Read, Write},
    path::Path,
    sync::{Arc, atomic::Ordering},
};
use tokio::task::spawn_blocking;

const TEMPLATE: &str = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";

pub(crate) async fn backup(context: &Context, args: BackupArgs) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let target = args.target;
    // Before the server is asked: a target that can't be is no reason to make a copy.
    let place = Place::of(&target)?;
    let download = tokio::select! {
        download = Download::start(context) => download?,
        () = stop.asked() => return Err(Failure::failed("interrupted")),
    };
    let bar = ProgressBar::new(download.bytes).with_style(progress::style(TEMPLATE));
    let (feed, pieces) = download.pieces();
    let pieces = Watched {
        inner: pieces,
        bar: bar.clone(),
        stop: Arc::default(),
    };
    let interrupted = Arc::clone(&pieces.stop);
    let to_stdout = matches!(place, Place::Stdout);
    let work = spawn_blocking(move || place.receive(pieces));
    tokio::select! {
        () = feed.run() => {}
        () = stop.asked() => interrupted.store(true, Ordering::Relaxed),
    }
    let received = work.await;
    bar.finish_and_clear();
    let received = received.map_err(|_| Failure::failed("the copy was cut off"))?;
    let contents = match received {
        Err(_) if interrupted.load(Ordering::Relaxed) => {
            return Err(Failure::failed("interrupted"));
        }
        received => received?,
    };
    tell(context, &target, to_stdout, &contents)?;
    Ok(())
}

fn tell(context: &Context, target: &str, to_stdout: bool, contents: &Contents) -> io::Result<()> {
    let manifest = contents.manifest.as_ref();
    let made_at = manifest.map_or("", |manifest| &manifest.made_at);
    let said = format!(
        "{target}: {} in {}, of {made_at}: everything confirmed before is in it",
        text::bytes(contents.bytes()),
        text::counted(contents.files.len() as u64, "file"),
    );
    match context.output.json {
        _ if to_stdout => eprintln!("{said}"),
        true => context.output.object(&json!({
            "target": target, "bytes": contents.bytes(), "files": contents.files.len(),
            "made_at": made_at, "version": manifest.map(|manifest| &manifest.version),
        }))?,
        false => context.output.line(&said)?,
    }
    Ok(())
}

/// Where a backup goes.
enum Place {
    Directory(Landing),
    Archive(Landing, File),
    Stdout,
}

impl Place {
    fn of(target: &str) -> Result<Self, Failure> {
        let path = Path::new(target);
        if target == "-" {
            return match io::stdout().is_terminal() {
                true => Err(Failure::usage(
                    "a tar archive is nothing for a terminal; send stdout to a file or a program",
                )),
                false => Ok(Self::Stdout),
            };
        }
        if path.extension().is_some_and(|extension| extension == "tar") {
            let (landing, file) = Landing::file(path)?;
            return Ok(Self::Archive(landing, file));
        }
        Ok(Self::Directory(Landing::directory(path)?))
    }

    /// Writes everything, checks that it is whole, and makes it durable.
    fn receive(self, pieces: Watched<Pieces>) -> Result<Contents, Failure> {
        match self {
            Self::Directory(landing) => {
                let dir = landing.partial().to_owned();
                let contents =
                    read_archive(pieces, &mut |name, from| write_file(&dir.join(name), from))?;
                landing.land()?;
                Ok(contents)
            }
            Self::Archive(landing, file) => {
                let contents = copy(pieces, &file)?;
                file.sync_all()?;
                landing.land()?;
                Ok(contents)
            }
            Self::Stdout => copy(pieces, io::stdout().lock()),
        }
    }
}

/// Copies the archive as it is, and looks into it on the way.
fn copy(from: impl Read, to: impl Write) -> Result<Contents, Failure> {
    let mut to = BufWriter::with_capacity(1 << 20, to);
    let mut trouble = None;
    let tee = Tee {
        from,
        to: &mut to,
        trouble: &mut trouble,
    };
    let contents = read_archive(tee, &mut |_, from| Ok(io::copy(from, &mut io::sink())?));
    // Why it couldn't be written tells more than what that did to reading.
    if let Some(error) = trouble {
        return Err(written(error));
    }
    let contents = contents?;
    to.flush().map_err(written)?;
    Ok(contents)
}

fn written(error: io::Error) -> Failure {
    Failure::failed(format!("can't write the archive: {error}"))
}

/// Writes what is read.
struct Tee<'a, R, W> {
    from: R,
    to: W,
    trouble: &'a mut Option<io::Error>,
}

impl<R: Read, W: Write> Read for Tee<'_, R, W> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        match self.to.write_all(&into[..read]) {
            Ok(()) => Ok(read),
            Err(error) => {
                *self.trouble = Some(error);
                Err(io::Error::other("nothing more can be written"))
            }
        }
    }
}
