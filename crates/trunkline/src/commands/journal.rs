use super::repair::repair;
use crate::{args::JournalCommand, context::Context, failure::Failure, output::Output, text};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::{fmt::Write as _, io, ops::ControlFlow, path::Path};
use trunkline_journal::{
    DumpEvent, OpenError, RealDisk, RecoveryReport, VerifyReport, dump, verify,
};
use trunkline_model::Timestamp;
use trunkline_queue::Record;

pub(crate) fn journal(context: &Context, command: &JournalCommand) -> Result<(), Failure> {
    match command {
        JournalCommand::Verify { dir } => check(context.output, dir),
        JournalCommand::Dump { dir } => print(context.output, dir),
        JournalCommand::Repair { dir, into, dry_run } => {
            repair(context.output, dir, into.as_deref(), *dry_run)
        }
    }
}

pub(super) fn open(dir: &Path) -> Result<RealDisk, Failure> {
    RealDisk::existing(dir).map_err(|error| Failure::usage(format!("{}: {error}", dir.display())))
}

/// What a journal that can't be read means for the exit code.
pub(super) fn refused(error: OpenError) -> Failure {
    match error {
        OpenError::InUse { directory } => Failure::failed(format!(
            "{directory} is in use by a running server; stop it first, or look at a copy"
        )),
        other => Failure::failed(other.to_string()),
    }
}

fn check(output: Output, dir: &Path) -> Result<(), Failure> {
    let disk = open(dir)?;
    let bar = progress_bar();
    let report = verify(&disk, &mut |done, total| show(&bar, done, total));
    bar.finish_and_clear();
    let report = report.map_err(refused)?;
    if report.segments.is_empty() && report.free_files == 0 {
        return Err(Failure::usage(format!(
            "{}: no journal there; name the data directory of a server",
            dir.display()
        )));
    }
    if output.json {
        output.object(&verified(&report))?;
    } else {
        output.bytes(verified_text(dir, &report).as_bytes())?;
    }
    Ok(())
}

fn verified(report: &VerifyReport) -> Value {
    let RecoveryReport {
        first_lsn,
        last_lsn,
        records,
        clean,
        ..
    } = report.recovery;
    let segments: Vec<_> = report
        .segments
        .iter()
        .map(|segment| {
            json!({
                "segment": segment.segment, "bytes": segment.bytes, "used": segment.used,
                "batches": segment.batches, "records": segment.records,
            })
        })
        .collect();
    json!({
        "ok": true, "first_lsn": first_lsn.0, "last_lsn": last_lsn.0, "records": records,
        "clean": clean, "torn": report.recovery.torn.is_some(), "segments": segments,
        "free_files": report.free_files, "checkpoints": report.checkpoints,
        "bad_checkpoints": report.bad_checkpoints,
    })
}

fn verified_text(dir: &Path, report: &VerifyReport) -> String {
    let recovery = &report.recovery;
    let mut said = format!(
        "{}: intact. {} in {} ({}); {}\n",
        dir.display(),
        text::counted(recovery.records, "record"),
        text::counted(report.segments.len() as u64, "segment"),
        text::bytes(recovery.bytes),
        if recovery.clean {
            "stopped cleanly"
        } else {
            "not stopped cleanly"
        },
    );
    if let Some(torn) = &recovery.torn {
        let _ = writeln!(
            said,
            "a crash left an unfinished end at offset {} of {}; the next start cuts it off",
            torn.offset, torn.file
        );
    }
    for bad in &report.bad_checkpoints {
        let _ = writeln!(
            said,
            "{bad}. It is a checkpoint, and the log says the same: a start ignores it, and it may be removed"
        );
    }
    said
}

fn print(output: Output, dir: &Path) -> Result<(), Failure> {
    let disk = open(dir)?;
    let bar = progress_bar();
    let mut outcome = Ok(());
    let mut lines = io::BufWriter::new(io::stdout());
    let mut visit = |event: DumpEvent<'_>| {
        let written = match output.json {
            true => write_line(&mut lines, &object(&event).to_string()),
            false => write_line(&mut lines, &line(&event)),
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                outcome = Err(error);
                ControlFlow::Break(())
            }
        }
    };
    let dumped = dump(&disk, &mut visit, &mut |done, total| {
        show(&bar, done, total)
    });
    bar.finish_and_clear();
    outcome?;
    io::Write::flush(&mut lines)?;
    dumped.map_err(refused)
}

fn write_line(to: &mut impl io::Write, line: &str) -> io::Result<()> {
    to.write_all(line.as_bytes())?;
    to.write_all(b"\n")
}

/// One line, for people; records are indented below their batch.
fn line(event: &DumpEvent<'_>) -> String {
    match event {
        DumpEvent::Segment {
            file,
            segment,
            bytes,
            generation,
            created,
        } => format!(
            "{file}: segment {segment}, {}, generation {generation}, {}",
            text::bytes(u64::from(*bytes)),
            match created {
                0 => "ready and not used yet".to_owned(),
                created => format!("made {}", Timestamp::from_micros(*created)),
            }
        ),
        DumpEvent::BadSegment { file, error } => format!("{file}: {error}"),
        DumpEvent::Batch {
            place,
            first_lsn,
            count,
            now,
            closing,
            continues,
            ..
        } => format!(
            " batch at {}: {} from {}, {}{}{}",
            place.offset(),
            text::counted(u64::from(*count), "record"),
            first_lsn.0,
            Timestamp::from_micros(*now),
            if *closing { ", closing" } else { "" },
            if *continues {
                ""
            } else {
                ", does not continue the one before"
            },
        ),
        DumpEvent::Record {
            lsn, kind, payload, ..
        } => {
            format!("  {} {}", lsn.0, described(kind.0, payload))
        }
        DumpEvent::Gap {
            place,
            bytes,
            what,
            inside: true,
        } => {
            format!(
                " damaged at {}: {bytes} bytes are no batch: {what}",
                place.offset()
            )
        }
        DumpEvent::Gap { place, bytes, .. } => {
            format!(
                " free from {}: {}",
                place.offset(),
                text::bytes(u64::from(*bytes))
            )
        }
        other => format!(" {other:?}"),
    }
}

fn object(event: &DumpEvent<'_>) -> Value {
    match event {
        DumpEvent::Segment {
            file,
            segment,
            bytes,
            generation,
            created,
        } => json!({
            "segment": segment, "file": file, "bytes": bytes, "generation": generation,
            "created": Timestamp::from_micros(*created).to_string(),
        }),
        DumpEvent::BadSegment { file, error } => json!({"file": file, "bad": error.to_string()}),
        DumpEvent::Batch {
            place,
            first_lsn,
            count,
            synced_lsn,
            now,
            closing,
            continues,
            ..
        } => {
            json!({
                "batch": place.offset(), "first_lsn": first_lsn.0, "records": count,
                "synced_lsn": synced_lsn.0, "now": Timestamp::from_micros(*now).to_string(),
                "closing": closing, "continues": continues,
            })
        }
        DumpEvent::Record {
            lsn,
            place,
            kind,
            payload,
        } => json!({
            "lsn": lsn.0, "offset": place.offset(), "kind": kind.0,
            "record": described(kind.0, payload),
        }),
        DumpEvent::Gap {
            place,
            bytes,
            what,
            inside,
        } => json!({
            "gap": place.offset(), "bytes": bytes, "what": what, "damaged": inside,
        }),
        other => json!({"event": format!("{other:?}")}),
    }
}

fn described(kind: u8, payload: &[u8]) -> String {
    match Record::decode(kind, payload) {
        Ok(record) => record.describe(),
        Err(error) => format!("record of kind {kind}, {} bytes: {error}", payload.len()),
    }
}

pub(super) fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {eta}")
        .expect("the template is right");
    ProgressBar::new(0).with_style(style)
}

pub(super) fn show(bar: &ProgressBar, done: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(done);
}
