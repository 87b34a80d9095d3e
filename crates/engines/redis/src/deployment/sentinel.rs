//! Who the master is.

use super::dial::Dialer;
use super::failure::Failure;
use super::open::{Open, Patience};
use super::switches::Watch;
use super::url::Host;
use std::fmt;
use std::sync::{Mutex, MutexGuard};
use trunkline_mpx::{RedisAddress, Transport};

/// Servers that watch a master and make another one when it fails.
#[derive(Debug)]
pub(super) struct Sentinels {
    /// The one that answered last is the first.
    known: Mutex<Vec<Host>>,
    service: String,
}

/// Who is the master, as sentinels say.
pub(super) struct Master {
    pub(super) address: RedisAddress,
    host: Host,
    watch: Option<Watch>,
}

impl Master {
    /// A connection to it that ends when they say otherwise.
    pub(super) fn guard(self, stream: Box<dyn Transport>) -> Box<dyn Transport> {
        match self.watch {
            Some(watch) => watch.guard(self.host, stream),
            None => stream,
        }
    }
}

impl Sentinels {
    pub(super) fn new(sentinels: Vec<Host>, service: String) -> Self {
        Self {
            known: Mutex::new(sentinels),
            service,
        }
    }

    /// Asks one sentinel after the other where the master is, each for its part of the time for a connection. Who
    /// has not heard yet that another took its place is passed over.
    ///
    /// # Errors
    /// [`Failure::NotSent`]: none knows.
    pub(super) async fn master(&self, dialer: &Dialer) -> Result<Master, Failure> {
        let watch = dialer.watch();
        let sentinels = self.known().clone();
        let parts = u32::try_from(sentinels.len()).unwrap_or(u32::MAX).max(1);
        let bound = dialer.timeout() / parts.saturating_add(1);
        let mut last = "there is none".to_owned();
        for sentinel in sentinels {
            let asked = tokio::time::timeout(bound, self.ask(dialer, &sentinel));
            match asked.await {
                Ok(Ok(Some(host))) => {
                    if watch.as_ref().is_some_and(|watch| watch.is_old(&host)) {
                        last = format!("{sentinel} names {host} still, which was replaced");
                        continue;
                    }
                    self.prefer(&sentinel);
                    let address = dialer.host(&host);
                    return Ok(Master {
                        address,
                        host,
                        watch,
                    });
                }
                Ok(Ok(None)) => {
                    last = format!("{sentinel} watches no master of this name");
                }
                Ok(Err(failure)) => last = failure.to_string(),
                Err(_) => {
                    let waited = bound.as_millis();
                    last = format!("{sentinel} said nothing for {waited} ms");
                }
            }
        }
        Err(Failure::NotSent {
            server: self.to_string(),
            reason: format!("no sentinel knows the master: {last}"),
        })
    }

    async fn ask(&self, dialer: &Dialer, sentinel: &Host) -> Result<Option<Host>, Failure> {
        let address = dialer.host(sentinel);
        let patience = Patience::Bound(dialer.timeout());
        let settings = dialer.sentinel_settings();
        let open = Open::make(&address, settings, patience, |stream| stream).await?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("get-master-addr-by-name").arg(&self.service);
        let answer = open.ask(&ask).await?;
        let master: Result<Option<(String, u16)>, _> = redis::from_redis_value(answer);
        match master {
            Ok(master) => Ok(master.map(|(name, port)| Host {
                name: name.into(),
                port,
            })),
            Err(error) => Err(Failure::Answer {
                server: open.server.clone(),
                reason: error.to_string(),
            }),
        }
    }

    /// The master that was named is none: another sentinel is asked first the next time.
    pub(super) fn doubt(&self) {
        self.known().rotate_left(1);
    }

    fn known(&self) -> MutexGuard<'_, Vec<Host>> {
        self.known.lock().expect("nothing panics with it")
    }

    fn prefer(&self, sentinel: &Host) {
        let mut known = self.known();
        if let Some(place) = known.iter().position(|known| known == sentinel) {
            known[..=place].rotate_right(1);
        }
    }
}

impl fmt::Display for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the master {}", self.service)
    }
}
