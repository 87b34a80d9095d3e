//! The machine that a figure belongs to.

use std::fs;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result};
use serde::Serialize;

/// What a reader has to know before comparing figures.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Logical processors that this process may use.
    pub cores: usize,
    /// As `/proc/cpuinfo` names it.
    pub cpu: String,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// File system, device and mount options of the data directory.
    pub data_file_system: String,
}

impl Machine {
    /// Describes this machine, and the file system under `data`.
    pub(crate) fn describe(data: &Path) -> Result<Machine> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let data = data
            .canonicalize()
            .with_context(|| format!("the data directory {}", data.display()))?;
        Ok(Machine {
            cores: thread::available_parallelism()?.get(),
            cpu: value(&cpuinfo, "model name")
                .unwrap_or("unknown")
                .to_owned(),
            memory_bytes: value(&meminfo, "MemTotal")
                .and_then(|text| text.strip_suffix(" kB"))
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(0)
                * 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            data_file_system: mount_of(&mounts, &data).unwrap_or_else(|| "unknown".to_owned()),
        })
    }
}

/// The value in a line `name : value`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(key, value)| (key.trim() == name).then(|| value.trim()))
}

/// The mount that `path` lies in: the one with the longest mount point, the last one if several
/// lie over each other.
fn mount_of(mounts: &str, path: &Path) -> Option<String> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let device = fields.next()?;
            let point = Path::new(fields.next()?);
            let kind = fields.next()?;
            let options = fields.next()?;
            path.starts_with(point).then(|| {
                (
                    point.components().count(),
                    format!("{kind} on {device} ({options})"),
                )
            })
        })
        .max_by_key(|(depth, _)| *depth)
        .map(|(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_proc_files() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nMemTotal:  8000 kB\n";
        assert_eq!(value(text, "model name"), Some("Some CPU @ 2 GHz"));
        assert_eq!(value(text, "MemTotal"), Some("8000 kB"));
        assert_eq!(value(text, "flags"), None);
    }

    #[test]
    fn the_innermost_mount_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /srv/fast tmpfs rw,size=1g 0 0\n";
        for (path, expected) in [
            ("/srv/data", "ext4 on /dev/a (rw)"),
            ("/srv/fast/data", "tmpfs on tmpfs (rw,size=1g)"),
            ("/srv/faster", "ext4 on /dev/a (rw)"),
        ] {
            assert_eq!(mount_of(mounts, Path::new(path)).as_deref(), Some(expected));
        }
    }
}
