//! `journal repair`: what is intact in a damaged store is written into a new one.

use super::journal::{open, progress_bar, refused, show};
use crate::{failure::Failure, output::Output, text};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};
use trunkline_journal::{
    Class, Config, Group, Journal, Loss, OpenError, RealDisk, RecordKind, Refused, SalvageReport,
    Salvaged, Urgency, salvage,
};
use trunkline_queue::{BodyRef, Core, CoreConfig, Effects, Record};

/// Most losses that are listed by place; the others are counted.
const LISTED_MAX: usize = 1_000;

/// What is known of the store as it is read.
struct Patient {
    core: Core,
    /// Where it is written to, unless nothing is.
    target: Option<Journal>,
    group: Group,
    last_now: u64,
    losses: Vec<Loss>,
    /// By topic: the last sequence that was put, and whether something was lost since.
    sequences: BTreeMap<u32, (u64, bool)>,
    /// By topic: messages whose put records are missing.
    lost: BTreeMap<u32, u64>,
    /// Records that contradict what is left of those before them.
    refused: u64,
}

pub(super) fn repair(
    output: Output,
    dir: &Path,
    into: Option<&Path>,
    dry_run: bool,
) -> Result<(), Failure> {
    let disk = open(dir)?;
    let into = (!dry_run).then(|| into.map_or_else(|| beside(dir), Path::to_path_buf));
    let mut patient = Patient {
        core: Core::new(CoreConfig::default()),
        target: into.as_deref().map(target).transpose()?,
        group: Group::new(),
        last_now: 0,
        losses: Vec::new(),
        sequences: BTreeMap::new(),
        lost: BTreeMap::new(),
        refused: 0,
    };
    let bar = progress_bar();
    let salvaged = salvage(
        &disk,
        &mut |part| {
            patient
                .take(part)
                .map_err(|error| stopped(into.as_deref(), error))
        },
        &mut |done, total| show(&bar, done, total),
    );
    bar.finish_and_clear();
    let outcome = salvaged
        .map_err(refused)
        .and_then(|report| match report.records {
            0 => Err(Failure::failed(format!(
                "{}: nothing intact was found",
                dir.display()
            ))),
            _ => Ok((patient.finish()?, report)),
        });
    let (adopted, report) = match outcome {
        Ok(done) => done,
        Err(failure) => {
            // What was begun is of no use.
            if let Some(into) = &into {
                drop(fs::remove_dir_all(into));
            }
            return Err(failure);
        }
    };
    tell(output, dir, into.as_deref(), &patient, &report, adopted)?;
    Ok(())
}

fn beside(dir: &Path) -> PathBuf {
    let mut name = dir.components().as_path().as_os_str().to_os_string();
    name.push(".repaired");
    name.into()
}

/// A new store, made only if nothing is there.
fn target(into: &Path) -> Result<Journal, Failure> {
    fs::create_dir(into).map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::AlreadyExists => "it is there already; name another with --into".into(),
            _ => error.to_string(),
        };
        Failure::usage(format!("{}: {what}", into.display()))
    })?;
    let disk = Arc::new(RealDisk::existing(into)?);
    let (journal, _) =
        Journal::open(disk, Config::default(), 0, &mut |_| Ok(())).map_err(refused)?;
    Ok(journal)
}

fn stopped(into: Option<&Path>, error: Refused) -> OpenError {
    OpenError::Io {
        directory: into.map_or_else(String::new, |into| into.display().to_string()),
        file: "the repaired store".to_owned(),
        cause: io::Error::other(error),
    }
}

impl Patient {
    fn take(&mut self, part: Salvaged<'_>) -> Result<(), Refused> {
        match part {
            Salvaged::Batch { now, records } => {
                self.last_now = self.last_now.max(now);
                self.group.clear();
                for (kind, payload) in records {
                    if self.follow(*kind, payload) {
                        self.push(*kind, payload)?;
                    }
                }
                self.append()
            }
            Salvaged::Loss(loss) => {
                self.sequences
                    .values_mut()
                    .for_each(|(_, is_lost)| *is_lost = true);
                if self.losses.len() < LISTED_MAX {
                    self.losses.push(loss.clone());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Repeats a record; false if it contradicts what is left of those before it.
    fn follow(&mut self, RecordKind(kind): RecordKind, payload: &[u8]) -> bool {
        let Ok(record) = Record::decode(kind, payload) else {
            // Of a later version, perhaps: the server will say.
            return true;
        };
        if let Record::Put(put) = &record
            && !put.copy
        {
            let known = self
                .sequences
                .entry(put.topic)
                .or_insert((put.sequence, false));
            if std::mem::take(&mut known.1) {
                let missing = put.sequence.saturating_sub(known.0 + 1);
                *self.lost.entry(put.topic).or_default() += missing;
            }
            known.0 = known.0.max(put.sequence);
        }
        let is_taken = self.core.replay(record, BodyRef(1)).is_ok();
        self.refused += u64::from(!is_taken);
        is_taken
    }

    fn push(&mut self, kind: RecordKind, payload: &[u8]) -> Result<(), Refused> {
        let (bytes, max) = (Group::record_len(payload.len()), 16 << 20);
        self.group
            .push(kind, &[payload])
            .map(|_| ())
            .map_err(|_| Refused::TooLarge { bytes, max })
    }

    fn append(&mut self) -> Result<(), Refused> {
        let Some(journal) = &self.target else {
            return Ok(());
        };
        loop {
            match journal.admit(self.group.byte_len(), Class::Compaction) {
                Ok(()) => break,
                Err(Refused::Backlog { .. }) => drop(journal.commit().map_err(Refused::Poisoned)?),
                Err(refused) => return Err(refused),
            }
        }
        journal.append(&self.group, self.last_now, Urgency::Lazy)?;
        Ok(())
    }

    /// Names what lost its name, and closes the new store. Returns how many were named.
    fn finish(&mut self) -> Result<u64, Failure> {
        let mut out = Effects::default();
        let adopted = self.core.adopt_orphans(&mut out);
        let failed = |error: Refused| Failure::failed(error.to_string());
        for (kind, record) in out.log.iter() {
            self.group.clear();
            self.push(RecordKind(kind), record).map_err(failed)?;
            self.append().map_err(failed)?;
        }
        if let Some(journal) = self.target.take() {
            journal
                .close()
                .map_err(|poison| Failure::failed(poison.to_string()))?;
        }
        Ok(adopted)
    }

    /// What messages are known to be missing, by topic.
    fn missing(&self) -> Vec<(String, u64)> {
        let names: BTreeMap<u32, String> = self.core.topic_names().collect();
        let lost = self.lost.iter().filter(|(_, count)| **count > 0);
        lost.map(|(number, count)| {
            let name = names.get(number).cloned();
            (name.unwrap_or_else(|| format!("topic {number}")), *count)
        })
        .collect()
    }
}

fn until(loss: &Loss) -> String {
    match &loss.until {
        Some((file, offset)) => format!("to offset {offset} of {file}"),
        None => "to the end".to_owned(),
    }
}

fn tell(
    output: Output,
    dir: &Path,
    into: Option<&Path>,
    patient: &Patient,
    report: &SalvageReport,
    adopted: u64,
) -> Result<(), Failure> {
    let missing = patient.missing();
    if output.json {
        let losses: Vec<_> = patient.losses.iter().map(|loss| {
            json!({
                "file": loss.file, "offset": loss.offset, "why": loss.why,
                "first_lsn": loss.first.map(|lsn| lsn.0), "last_lsn": loss.last.0,
                "until": loss.until.as_ref().map(|(file, offset)| json!({"file": file, "offset": offset})),
            })
        }).collect();
        let topics: BTreeMap<_, _> = missing.into_iter().collect();
        return Ok(output.object(&json!({
            "records": report.records, "losses": report.losses, "missing": losses,
            "missing_messages": topics, "torn": report.torn, "bad_headers": report.bad_headers,
            "named": adopted, "contradicting": patient.refused, "into": into,
        }))?);
    }
    let mut said = String::new();
    for name in &report.bad_headers {
        said += &format!("{name}: its header is damaged; what is in it was looked at\n");
    }
    for loss in &patient.losses {
        let records = match (loss.first, loss.records()) {
            (Some(first), Some(count)) => format!(
                "{} ({} to {})",
                text::counted(count, "record"),
                first.0,
                loss.last.0
            ),
            _ => format!("records before {}", loss.last.0 + 1),
        };
        said += &format!(
            "{}: from offset {} {}: {records} missing: {}\n",
            loss.file,
            loss.offset,
            until(loss),
            loss.why
        );
    }
    let listed = patient.losses.len() as u64;
    if report.losses > listed {
        said += &format!(
            "and {} more\n",
            text::counted(report.losses - listed, "place")
        );
    }
    for (topic, count) in &missing {
        said += &format!(
            "{topic}: {} published there and then; which of them were still waiting is not known\n",
            text::counted(*count, "message")
        );
    }
    if patient.refused > 0 {
        said += &format!(
            "{} left out, since they contradict what is left of those before them\n",
            text::counted(patient.refused, "record")
        );
    }
    if adopted > 0 {
        said += &format!(
            "{} lost their definition, and are called recovered-N\n",
            text::counted(adopted, "topic or subscription")
        );
    }
    let kept = text::counted(report.records, "record");
    said += &match into {
        None => format!(
            "{}: {kept} would be kept; nothing was written\n",
            dir.display()
        ),
        Some(into) => format!(
            "{kept} kept in {into}; {dir} was not changed. To go on with it: mv {dir} {dir}.damaged && mv {into} {dir}\n",
            into = into.display(),
            dir = dir.components().as_path().display(),
        ),
    };
    output.bytes(said.as_bytes())?;
    Ok(())
}
