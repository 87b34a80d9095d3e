//! What a command can fail with, by what can be done about it.

use redis::{RedisError, ServerError};
use std::time::Duration;

/// Why commands were not done, or aren't known to be. Every text says where, without credentials.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Nothing was sent, so everything can be repeated.
    #[error("can't reach Redis at {server}: {reason}")]
    NotSent {
        /// Where to.
        server: String,
        /// What was tried last, and how it ended.
        reason: String,
    },
    /// It was sent, and no answer came: it may have been executed, so only what is idempotent can be repeated.
    #[error("Redis at {server} did not answer, so it isn't known whether it was done: {reason}")]
    Unanswered {
        /// Where.
        server: String,
        /// How the wait ended.
        reason: String,
    },
    /// The server said no.
    #[error("Redis at {server} refused: {text}{}", .refusal.hint())]
    Refused {
        /// Where.
        server: String,
        /// What that means.
        refusal: Refusal,
        /// What the server said.
        text: String,
        /// Commands of the same pipeline, other than this one, were executed.
        partly: bool,
    },
    /// It was done on the master, but too few replicas had confirmed it in time. It can be repeated if it is idempotent.
    #[error(
        "stored by Redis at {server}, but only {have} of {wanted} {} have it after {} ms",
        if *.disk { "servers with it on their disk" } else { "replicas" },
        .waited.as_millis()
    )]
    Replicas {
        /// Where.
        server: String,
        /// How many have it.
        have: u32,
        /// How many must.
        wanted: u32,
        /// Whether it must be on their disks.
        disk: bool,
        /// How long was waited.
        waited: Duration,
    },
    /// It was done on the master, which refuses to say who else has it. It can be repeated if it is idempotent.
    #[error("stored by Redis at {server}, but it refuses to wait for others: {text}{}", .refusal.hint_of_wait())]
    Unconfirmed {
        /// Where.
        server: String,
        /// What that means.
        refusal: Refusal,
        /// What the server said.
        text: String,
    },
    /// It was done, but what came back is not what this command answers.
    #[error("Redis at {server} answered what isn't understood: {reason}")]
    Answer {
        /// Where.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a server means by no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// `OOM`: its memory is full.
    OutOfMemory,
    /// `READONLY`: it is a replica.
    ReadOnly,
    /// `LOADING`: it has started and reads its data.
    Loading,
    /// `MASTERDOWN`: a replica without its master.
    MasterDown,
    /// `NOSCRIPT`: it doesn't know the script.
    NoScript,
    /// `BUSY`: a script runs for too long.
    Busy,
    /// `CLUSTERDOWN`: slots without an owner.
    ClusterDown,
    /// `TRYAGAIN`: the keys are moving.
    TryAgain,
    /// `MOVED`, `ASK`: somebody else has the key.
    Moved,
    /// `CROSSSLOT`: keys of more than one slot.
    CrossSlot,
    /// `NOAUTH`, `WRONGPASS`: not logged in.
    Auth,
    /// `NOPERM`: the user may not.
    Permission,
    /// `MISCONF`: it can't save to its disk.
    DiskFull,
    /// `NOREPLICAS`: fewer replicas than it needs for writes.
    NoReplicas,
    /// `WRONGTYPE`: the key holds something else.
    WrongType,
    /// `NOGROUP`: a stream without this group.
    NoGroup,
    /// `BUSYGROUP`: a stream has this group already.
    GroupExists,
    /// Anything else.
    Other,
}

impl Refusal {
    /// What the first word of an error says.
    pub(crate) fn of_code(code: &str) -> Self {
        match code {
            "OOM" => Self::OutOfMemory,
            "READONLY" => Self::ReadOnly,
            "LOADING" => Self::Loading,
            "MASTERDOWN" => Self::MasterDown,
            "NOSCRIPT" => Self::NoScript,
            "BUSY" => Self::Busy,
            "CLUSTERDOWN" => Self::ClusterDown,
            "TRYAGAIN" => Self::TryAgain,
            "MOVED" | "ASK" => Self::Moved,
            "CROSSSLOT" => Self::CrossSlot,
            "NOAUTH" | "WRONGPASS" => Self::Auth,
            "NOPERM" => Self::Permission,
            "MISCONF" => Self::DiskFull,
            "NOREPLICAS" => Self::NoReplicas,
            "WRONGTYPE" => Self::WrongType,
            "NOGROUP" => Self::NoGroup,
            "BUSYGROUP" => Self::GroupExists,
            _ => Self::Other,
        }
    }

    /// Whether the same may be accepted in a while, without anybody doing anything. Nothing was executed.
    #[must_use]
    pub const fn is_temporary(self) -> bool {
        matches!(
            self,
            Self::ReadOnly
                | Self::Loading
                | Self::MasterDown
                | Self::Busy
                | Self::ClusterDown
                | Self::TryAgain
                | Self::Moved
                | Self::NoReplicas
        )
    }

    /// Whether it is said before anything is executed. What is not may come in the middle of a script.
    const fn comes_first(self) -> bool {
        !matches!(
            self,
            Self::Permission | Self::WrongType | Self::NoGroup | Self::GroupExists | Self::Other
        )
    }

    /// What can be done about it, for the end of a sentence.
    const fn hint(self) -> &'static str {
        match self {
            Self::OutOfMemory => "; give it more memory (maxmemory) or take messages out of it",
            Self::ReadOnly => "; it is a replica: name the master, or the sentinels",
            Self::Loading => "; it reads its data after a start, and will be ready then",
            Self::Busy => "; a script runs for too long: SCRIPT KILL ends it",
            Self::ClusterDown => "; the cluster waits for nodes that have failed",
            Self::Auth => "; look at user and password in its URL",
            Self::Permission => "; give its user the right with ACL SETUSER",
            Self::DiskFull => "; look at the disk and the log of the server",
            Self::NoReplicas => "; it waits for replicas (min-replicas-to-write)",
            Self::MasterDown
            | Self::NoScript
            | Self::TryAgain
            | Self::Moved
            | Self::CrossSlot
            | Self::WrongType
            | Self::NoGroup
            | Self::GroupExists
            | Self::Other => "",
        }
    }

    /// The same, where the server was asked to wait.
    const fn hint_of_wait(self) -> &'static str {
        match self {
            Self::Permission => self.hint(),
            _ => {
                "; wait needs a master, wait_aof moreover Redis 7.2: take the option out of the URL, or use such a server"
            }
        }
    }
}

impl Failure {
    /// Whether it is certain that nothing was executed: what was asked can be repeated whatever it is.
    #[must_use]
    pub const fn is_undone(&self) -> bool {
        match self {
            Self::NotSent { .. } => true,
            Self::Refused {
                refusal, partly, ..
            } => !*partly && refusal.comes_first(),
            Self::Unanswered { .. }
            | Self::Replicas { .. }
            | Self::Unconfirmed { .. }
            | Self::Answer { .. } => false,
        }
    }

    /// Whether a command that is no script was done, as `data.executed` of errors tells it: `no` or `unknown`.
    pub(crate) const fn executed(&self) -> &'static str {
        match self {
            Self::NotSent { .. } | Self::Refused { .. } => "no",
            Self::Unanswered { .. }
            | Self::Replicas { .. }
            | Self::Unconfirmed { .. }
            | Self::Answer { .. } => "unknown",
        }
    }

    /// Whether the server doesn't know a script that was called by its hash.
    #[must_use]
    pub const fn is_no_script(&self) -> bool {
        matches!(self.refusal(), Some(Refusal::NoScript))
    }

    /// What the server meant, if it said no.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        }
    }

    /// Whether it was done where it was sent to, though others may not have it.
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self, Self::Replicas { .. } | Self::Unconfirmed { .. })
    }

    pub(super) fn refused(server: &str, error: &ServerError, partly: bool) -> Self {
        Self::Refused {
            server: server.to_owned(),
            refusal: Refusal::of_code(error.code()),
            text: text_of(error),
            partly,
        }
    }

    pub(super) fn unconfirmed(server: &str, error: &ServerError) -> Self {
        Self::Unconfirmed {
            server: server.to_owned(),
            refusal: Refusal::of_code(error.code()),
            text: text_of(error),
        }
    }

    /// Of a connection that was to be made.
    pub(super) fn of_login(server: &str, error: &RedisError) -> Self {
        let server = server.to_owned();
        let code = error.code().unwrap_or_default();
        let refusal = match (Refusal::of_code(code), error.kind()) {
            (_, redis::ErrorKind::AuthenticationFailed) => Refusal::Auth,
            (refusal, _) => refusal,
        };
        let text = error.to_string();
        match refusal {
            Refusal::Auth | Refusal::Permission | Refusal::Loading => Self::Refused {
                server,
                refusal,
                text,
                partly: false,
            },
            _ => Self::NotSent {
                server,
                reason: text,
            },
        }
    }
}

/// What a server said.
fn text_of(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_says_where_and_what_to_do() {
        let server = || "host:1".to_owned();
        let failures = [
            Failure::NotSent {
                server: server(),
                reason: "refused".to_owned(),
            },
            Failure::Unanswered {
                server: server(),
                reason: "10 s".to_owned(),
            },
            Failure::Refused {
                server: server(),
                refusal: Refusal::OutOfMemory,
                text: "OOM command not allowed".to_owned(),
                partly: false,
            },
            Failure::Replicas {
                server: server(),
                have: 1,
                wanted: 2,
                disk: false,
                waited: Duration::from_secs(5),
            },
        ];
        let undone: Vec<_> = failures.iter().map(Failure::is_undone).collect();
        assert_eq!(undone, [true, false, true, false]);
        let texts: Vec<_> = failures.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "can't reach Redis at host:1: refused",
                "Redis at host:1 did not answer, so it isn't known whether it was done: 10 s",
                "Redis at host:1 refused: OOM command not allowed; give it more memory (maxmemory) or take messages out of it",
                "stored by Redis at host:1, but only 1 of 2 replicas have it after 5000 ms",
            ]
        );
    }

    #[test]
    fn codes_are_known() {
        for (code, refusal) in [
            ("OOM", Refusal::OutOfMemory),
            ("WRONGPASS", Refusal::Auth),
            ("ASK", Refusal::Moved),
            ("ERR", Refusal::Other),
        ] {
            assert_eq!(Refusal::of_code(code), refusal);
        }
    }
}
