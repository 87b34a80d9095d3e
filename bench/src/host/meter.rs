//! CPU, memory, bytes written and device flushes as the kernel counts them in `/proc`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

/// `USER_HZ`: the unit of CPU times in `/proc`, the same on every Linux architecture in use.
const TICKS_PER_SECOND: f64 = 100.0;

/// What is watched during a run.
pub(crate) struct Meter {
    server: Option<u32>,
    device: Option<(u32, u32)>,
}

/// The counters at one moment.
pub(crate) struct Reading {
    at: Instant,
    server_ticks: Option<u64>,
    own_ticks: u64,
    server_rss_bytes: Option<u64>,
    server_written_bytes: Option<u64>,
    flushes: Option<u64>,
}

/// What was used between two readings.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Usage {
    /// CPU of the server, in cores; absent if its process isn't known.
    pub(crate) server_cores: Option<f64>,
    /// CPU of this process, in cores.
    pub(crate) generator_cores: f64,
    /// Resident memory of the server at the end.
    pub(crate) server_rss_bytes: Option<u64>,
    /// Flushes that the device of the data directory completed, whoever asked for them.
    pub(crate) device_flushes: Option<u64>,
    /// The same, for each second between the readings.
    pub(crate) device_flushes_per_second: Option<f64>,
    /// Bytes that the server gave to the disk, its preallocation included; absent where the
    /// kernel doesn't tell, and if no disk was watched.
    pub(crate) server_written_bytes: Option<u64>,
}

impl Meter {
    /// Watches `server` and the block device under `data`, where they are known.
    pub(crate) fn new(server: Option<u32>, data: Option<&Path>) -> Meter {
        let device = data.and_then(|path| fs::metadata(path).ok()).map(|data| {
            let number = data.dev();
            (rustix::fs::major(number), rustix::fs::minor(number))
        });
        Meter { server, device }
    }

    pub(crate) fn read(&self) -> Result<Reading> {
        Ok(Reading {
            at: Instant::now(),
            server_ticks: self.server.map(cpu_ticks).transpose()?,
            own_ticks: cpu_ticks(process::id())?,
            server_rss_bytes: self.server.map(resident_bytes).transpose()?,
            server_written_bytes: self.device.and(self.server).and_then(written_bytes),
            flushes: self.device.and_then(device_flushes),
        })
    }
}

impl Reading {
    pub(crate) fn since(&self, before: &Reading) -> Usage {
        let elapsed = self.at - before.at;
        let device_flushes = grown(self.flushes, before.flushes);
        Usage {
            server_cores: self
                .server_ticks
                .zip(before.server_ticks)
                .map(|(after, before)| cores(after - before, elapsed)),
            generator_cores: cores(self.own_ticks - before.own_ticks, elapsed),
            server_rss_bytes: self.server_rss_bytes,
            device_flushes,
            device_flushes_per_second: device_flushes
                .map(|flushes| flushes as f64 / elapsed.as_secs_f64()),
            server_written_bytes: grown(self.server_written_bytes, before.server_written_bytes),
        }
    }
}

fn grown(after: Option<u64>, before: Option<u64>) -> Option<u64> {
    Some(after? - before?)
}

/// Resident memory of a process (`VmRSS`).
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse_resident_bytes(&text).with_context(|| format!("no VmRSS in {path}"))
}

fn cpu_ticks(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse_cpu_ticks(&text).with_context(|| format!("unexpected text in {path}"))
}

/// `None` if this process may not know.
fn written_bytes(pid: u32) -> Option<u64> {
    parse_written_bytes(&fs::read_to_string(format!("/proc/{pid}/io")).ok()?)
}

fn device_flushes(device: (u32, u32)) -> Option<u64> {
    parse_device_flushes(&fs::read_to_string("/proc/diskstats").ok()?, device)
}

fn cores(ticks: u64, elapsed: Duration) -> f64 {
    ticks as f64 / TICKS_PER_SECOND / elapsed.as_secs_f64()
}

/// User and system time: fields 14 and 15. Field 2, the name, may itself hold spaces and
/// parentheses, so fields are counted from the last `)`.
fn parse_cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn parse_resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// What went to a block device or will, past the page cache or through it.
fn parse_written_bytes(io: &str) -> Option<u64> {
    let mut lines = io.lines();
    lines
        .find_map(|line| line.strip_prefix("write_bytes:"))?
        .trim()
        .parse()
        .ok()
}

/// Field 19 of a device's line, there since Linux 5.5. A partition counts no flushes of its own.
fn parse_device_flushes(diskstats: &str, (major, minor): (u32, u32)) -> Option<u64> {
    diskstats.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let here = fields.first()?.parse() == Ok(major) && fields.get(1)?.parse() == Ok(minor);
        here.then(|| fields.get(18)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_of_a_process_with_an_odd_name() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 700 0 0 0 123 45 0 0 20 0 4 0 999 1 1";
        assert_eq!(parse_cpu_ticks(stat), Some(168));
        assert_eq!(parse_cpu_ticks("42 (a) S"), None);
    }

    #[test]
    fn resident_memory() {
        let status = "Name:\ttrunkline\nVmHWM:\t    9000 kB\nVmRSS:\t    8192 kB\n";
        assert_eq!(parse_resident_bytes(status), Some(8 << 20));
        assert_eq!(parse_resident_bytes("Name:\tkthread\n"), None);
    }

    #[test]
    fn bytes_that_went_to_the_disk() {
        let io = "wchar: 7\nread_bytes: 1\nwrite_bytes: 40960\ncancelled_write_bytes: 5\n";
        assert_eq!(parse_written_bytes(io), Some(40_960));
        assert_eq!(parse_written_bytes("wchar: 7\n"), None);
    }

    #[test]
    fn flushes_of_the_right_device() {
        let stats = " 7 0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n \
                     254 0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 404 150\n";
        assert_eq!(parse_device_flushes(stats, (254, 0)), Some(404));
        assert_eq!(parse_device_flushes(stats, (254, 1)), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let meter = Meter::new(Some(process::id()), Some(Path::new("/")));
        let before = meter.read().unwrap();
        let usage = meter.read().unwrap().since(&before);
        assert!(usage.server_rss_bytes.is_some_and(|bytes| bytes > 0));
    }
}
