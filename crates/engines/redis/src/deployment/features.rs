//! What a server is and how it keeps data, as far as it says. Pure, but for the asking.

use super::failure::Failure;
use super::url::{RedisUrl, Wait};
use super::{Deployment, open};
use redis::Value;
use std::collections::HashMap;
use std::fmt;

/// Who made a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerKind {
    /// Redis, or what doesn't say that it is something else.
    Redis,
    /// Valkey.
    Valkey,
}

/// How a server keeps data when it restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Persistence {
    /// It doesn't say, as managed servers may.
    Unknown,
    /// Not at all.
    Off,
    /// By snapshots from time to time.
    Snapshots,
    /// By a log of all writes.
    Log(Fsync),
}

/// When a server's log is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// It doesn't say.
    Unknown,
    /// Before a write is confirmed.
    Always,
    /// At most about a second later.
    EverySecond,
    /// When the operating system likes.
    Never,
}

/// A version, as numbers that can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16, pub u16);

/// What a server can do, and what it keeps. What it doesn't say, or refuses to, is unknown; that is no error. Of a cluster
/// it is one master that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// Who made it.
    pub kind: ServerKind,
    /// Its own version.
    pub version: Option<Version>,
    /// The version of Redis whose commands it has.
    pub redis: Option<Version>,
    /// Whether it is a master.
    pub master: Option<bool>,
    /// How many replicas are connected to it.
    pub replicas: Option<u32>,
    /// How it keeps data.
    pub persistence: Persistence,
    /// What goes when its memory is full (`maxmemory-policy`), if it has a limit.
    pub eviction: Option<String>,
    /// What it didn't say.
    pub unknown: Vec<&'static str>,
}

impl Deployment {
    /// Asks the server what it is. The first use of a deployment can be this: it says whether the server is there and lets
    /// us in.
    ///
    /// # Errors
    /// [`Failure`]: it can't be reached, or the login is wrong. What it refuses to say is no error.
    pub async fn features(&self) -> Result<Features, Failure> {
        let mut ask = redis::pipe();
        ask.cmd("PING");
        ask.cmd("INFO");
        for option in ["appendfsync", "save"] {
            ask.cmd("CONFIG").arg("GET").arg(option);
        }
        let mut answers = self.each(b"", &ask).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
        // A user who may not do this may still do everything else.
        if let Err(failure) = next()
            && failure.refusal() != Some(super::Refusal::Permission)
        {
            return Err(failure);
        }
        let info: Option<String> = next().ok().and_then(open::read);
        let mut config = || {
            let pair: HashMap<String, String> = next().ok().and_then(open::read)?;
            pair.into_values().next()
        };
        let (fsync, save) = (config(), config());
        let info = info.unwrap_or_default();
        Ok(Features::read(&info, fsync.as_deref(), save.as_deref()))
    }
}

impl Features {
    /// From the text of `INFO`, and the options `appendfsync` and `save` if they are known.
    fn read(info: &str, fsync: Option<&str>, save: Option<&str>) -> Self {
        let field = |name: &str| {
            let mut lines = info.lines().filter_map(|line| line.split_once(':'));
            lines.find_map(|(found, value)| (found == name).then(|| value.trim()))
        };
        let redis = field("redis_version").and_then(Version::read);
        let valkey = field("valkey_version").and_then(Version::read);
        let is_valkey = valkey.is_some() || field("server_name") == Some("valkey");
        let kind = if is_valkey {
            ServerKind::Valkey
        } else {
            ServerKind::Redis
        };
        let persistence = match (field("aof_enabled"), save) {
            (Some("1"), _) => Persistence::Log(match fsync {
                Some("always") => Fsync::Always,
                Some("everysec") => Fsync::EverySecond,
                Some("no") => Fsync::Never,
                _ => Fsync::Unknown,
            }),
            (Some("0"), Some("")) => Persistence::Off,
            (Some("0"), Some(_)) => Persistence::Snapshots,
            _ => Persistence::Unknown,
        };
        let limited = field("maxmemory") != Some("0");
        let eviction = field("maxmemory_policy").filter(|_| limited);
        let master = field("role").map(|role| role == "master");
        let unknown = [
            (redis.is_none(), "its version"),
            (master.is_none(), "whether it is a master"),
            (persistence == Persistence::Unknown, "how it keeps data"),
            (
                persistence == Persistence::Log(Fsync::Unknown),
                "when its log is on the disk",
            ),
            (
                field("maxmemory_policy").is_none(),
                "what goes when its memory is full",
            ),
        ];
        Self {
            kind,
            version: valkey.or(redis),
            redis,
            master,
            replicas: field("connected_slaves").and_then(|count| count.parse().ok()),
            persistence,
            eviction: eviction.map(ToOwned::to_owned),
            unknown: unknown
                .into_iter()
                .filter_map(|(is, what)| is.then_some(what))
                .collect(),
        }
    }

    /// Whether it is known to have what came with a version of Redis.
    fn since(&self, version: Version) -> bool {
        self.redis.is_some_and(|redis| redis >= version)
    }

    /// `XAUTOCLAIM`.
    #[must_use]
    pub fn has_xautoclaim(&self) -> bool {
        self.since(Version(6, 2, 0))
    }

    /// `SSUBSCRIBE` and `SPUBLISH`.
    #[must_use]
    pub fn has_sharded_pub_sub(&self) -> bool {
        self.since(Version(7, 0, 0))
    }

    /// Flags in the first line of scripts.
    #[must_use]
    pub fn has_script_flags(&self) -> bool {
        self.since(Version(7, 0, 0))
    }

    /// `WAITAOF`.
    #[must_use]
    pub fn has_waitaof(&self) -> bool {
        self.since(Version(7, 2, 0))
    }

    /// What the URL asks for and this server can't do, so that nothing would ever be confirmed: a reason not to start with it,
    /// after its name.
    #[must_use]
    pub fn lacks(&self, url: &RedisUrl) -> Option<String> {
        let Version(major, minor, _) = self.redis?;
        let asks = matches!(url.wait, Some(Wait::Disk { .. }));
        (asks && !self.has_waitaof()).then(|| {
            format!(
                "can't do what wait_aof asks for: it is as Redis {major}.{minor}, and WAITAOF came with 7.2; take wait_aof out \
                 of the URL, or use a newer server"
            )
        })
    }

    /// What makes it lose what was confirmed, or refuse to work: to be said at the start, a sentence each.
    #[must_use]
    pub fn warnings(&self, url: &RedisUrl) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |text: String| warnings.push(format!("Redis at {url} {text}"));
        match self.persistence {
            Persistence::Off => warn(
                "keeps nothing on its disk: what was confirmed is gone when it restarts; set appendonly yes".to_owned(),
            ),
            Persistence::Snapshots => warn(
                "keeps snapshots only: what was confirmed after the last one is gone when it restarts; set appendonly yes".to_owned(),
            ),
            Persistence::Log(Fsync::Never) => warn(
                "leaves its log to the operating system: many seconds of what was confirmed are gone when the machine \
                 stops; set appendfsync everysec or always".to_owned(),
            ),
            Persistence::Log(_) | Persistence::Unknown => {}
        }
        if let Some(policy) = self.eviction.as_deref()
            && policy != "noeviction"
        {
            warn(format!(
                "removes keys when its memory is full ({policy}): messages would be lost; set maxmemory-policy noeviction"
            ));
        }
        if self.master == Some(false) {
            warn(
                "is a replica, to which nothing can be written: name the master, or the sentinels"
                    .to_owned(),
            );
        }
        if let Some(lacks) = self.lacks(url) {
            warn(lacks);
            return warnings;
        }
        match url.wait {
            Some(Wait::Disk { local: 1, .. })
                if matches!(self.persistence, Persistence::Off | Persistence::Snapshots) =>
            {
                warn(
                    "has no log, so nothing is confirmed with wait_aof=1: set appendonly yes"
                        .to_owned(),
                );
            }
            Some(
                Wait::Replicas(wanted)
                | Wait::Disk {
                    replicas: wanted, ..
                },
            ) if self.replicas.is_some_and(|replicas| replicas < wanted) => {
                let replicas = self.replicas.unwrap_or_default();
                warn(format!(
                    "has {replicas} replicas, but the URL wants {wanted} to have what is confirmed"
                ));
            }
            _ => {}
        }
        warnings
    }

    /// What Redis can't promise in the best case, and what it didn't say: a sentence each.
    #[must_use]
    pub fn notes(&self, url: &RedisUrl) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |text: String| notes.push(format!("Redis at {url} {text}"));
        if self.persistence == Persistence::Log(Fsync::EverySecond) {
            note(
                "writes its log every second (appendfsync everysec): a machine that stops loses up to about a second of \
                 what was confirmed".to_owned(),
            );
        }
        if url.wait.is_none() && self.replicas.is_some_and(|replicas| replicas > 0) {
            note(
                "confirms before its replicas have it: a failover may lose the last writes; wait=1 in the URL waits for one".to_owned(),
            );
        }
        if !self.unknown.is_empty() {
            note(format!("doesn't say {}", self.unknown.join(", ")));
        }
        notes
    }
}

impl Version {
    /// `7.0.15`, with anything after it.
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            part[..digits].parse::<u16>().ok()
        });
        let mut next = || parts.next().flatten();
        Some(Self(next()?, next()?, next().unwrap_or(0)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(major, minor, patch) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// As in `Redis 7.0.15`.
impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ServerKind::Redis => "Redis",
            ServerKind::Valkey => "Valkey",
        };
        match self.version {
            Some(version) => write!(f, "{kind} {version}"),
            None => write!(f, "{kind} of unknown version"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(options: &str) -> RedisUrl {
        let url = format!("redis://host{options}");
        url.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn versions_say_what_there_is() {
        for (info, name, can) in [
            (
                "redis_version:6.0.16\r\n",
                "Redis 6.0.16",
                [false, false, false],
            ),
            (
                "redis_version:6.2.14\r\n",
                "Redis 6.2.14",
                [true, false, false],
            ),
            (
                "redis_version:7.0.15\r\n",
                "Redis 7.0.15",
                [true, true, false],
            ),
            (
                "redis_version:8.0-rc1\r\n",
                "Redis 8.0.0",
                [true, true, true],
            ),
            (
                "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0\r\n",
                "Valkey 8.1.0",
                [true, true, true],
            ),
            ("", "Redis of unknown version", [false, false, false]),
        ] {
            let features = Features::read(info, None, None);
            assert_eq!(features.to_string(), name);
            let has = [
                features.has_xautoclaim(),
                features.has_sharded_pub_sub(),
                features.has_waitaof(),
            ];
            assert_eq!(has, can, "{name}");
        }
    }

    #[test]
    fn what_may_lose_messages_is_warned_about() {
        let known = "redis_version:7.0.15\nrole:master\nconnected_slaves:1\nmaxmemory:0\nmaxmemory_policy:noeviction\n";
        for (more, fsync, save, options, warnings) in [
            ("aof_enabled:1\n", Some("always"), Some(""), "", &[][..]),
            ("aof_enabled:1\n", Some("everysec"), None, "?wait=1", &[]),
            (
                "aof_enabled:1\n",
                Some("no"),
                None,
                "",
                &["operating system"],
            ),
            (
                "aof_enabled:0\n",
                None,
                Some(""),
                "",
                &["nothing on its disk"],
            ),
            (
                "aof_enabled:0\n",
                None,
                Some("60 1"),
                "",
                &["snapshots only"],
            ),
            ("aof_enabled:0\n", None, None, "", &[]),
            (
                "aof_enabled:1\n",
                None,
                None,
                "?wait=2",
                &["has 1 replicas"],
            ),
            (
                "aof_enabled:1\n",
                None,
                None,
                "?wait_aof=1,0",
                &["came with 7.2"],
            ),
        ] {
            let features = Features::read(&format!("{more}{known}"), fsync, save);
            let said = features.warnings(&url(options));
            assert_eq!(
                said.len(),
                warnings.len(),
                "{more} {fsync:?} {save:?}: {said:?}"
            );
            for (said, part) in said.iter().zip(warnings) {
                assert!(said.contains(part) && said.contains("host:6379"), "{said}");
            }
        }
        let full = "aof_enabled:1\nrole:slave\nmaxmemory:1000\nmaxmemory_policy:allkeys-lru\n";
        let said = Features::read(full, Some("always"), None)
            .warnings(&url(""))
            .join("\n");
        assert!(
            said.contains("allkeys-lru") && said.contains("is a replica"),
            "{said}"
        );
    }

    #[test]
    fn what_is_not_said_is_noted() {
        let silent = Features::read("", None, None);
        assert_eq!(silent.warnings(&url("")), Vec::<String>::new());
        let notes = silent.notes(&url("")).join("\n");
        assert!(notes.contains("how it keeps data"), "{notes}");
        let known = "redis_version:7.0.15\nrole:master\nconnected_slaves:1\nmaxmemory:0\nmaxmemory_policy:noeviction\naof_enabled:1\n";
        let features = Features::read(known, Some("everysec"), None);
        assert_eq!(features.unknown, Vec::<&str>::new());
        let notes = features.notes(&url("")).join("\n");
        assert!(
            notes.contains("about a second") && notes.contains("wait=1"),
            "{notes}"
        );
        assert_eq!(features.notes(&url("?wait=1")).len(), 1);
    }
}
