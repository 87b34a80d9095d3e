//! What sentinels tell unasked: that another server is the master.

use super::connector::multiplexer_options;
use super::dial::Dialer;
use super::url::Host;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::Instant;
use trunkline_mpx::{ChannelSubscription, Event, Multiplexer, Transport};

/// The channel of every sentinel: `SERVICE OLD-HOST OLD-PORT NEW-HOST NEW-PORT`.
const CHANNEL: &str = "+switch-master";
/// For so long a sentinel that names the old master has not heard of it: they tell each other every two seconds.
const UNHEARD_MAX: Duration = Duration::from_secs(5);

/// Listens to all sentinels, from the first time that a master is asked for.
#[derive(Debug)]
pub(super) struct Switches {
    sentinels: Vec<Host>,
    service: Arc<str>,
    last: Arc<watch::Sender<Option<Switch>>>,
    listening: OnceLock<Vec<ChannelSubscription>>,
}

/// One master took the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Switch {
    from: Host,
    to: Host,
    at: Instant,
}

impl Switches {
    pub(super) fn new(sentinels: Vec<Host>, service: &str) -> Self {
        Self {
            sentinels,
            service: service.into(),
            last: Arc::new(watch::Sender::new(None)),
            listening: OnceLock::new(),
        }
    }

    /// From now on; to be called before a sentinel is asked.
    pub(super) fn watch(&self, dialer: &Dialer) -> Watch {
        self.listening.get_or_init(|| {
            let sentinels = self.sentinels.iter();
            sentinels
                .map(|sentinel| self.listen(dialer, sentinel))
                .collect()
        });
        Watch {
            service: self.service.clone(),
            last: self.last.subscribe(),
        }
    }

    fn listen(&self, dialer: &Dialer, sentinel: &Host) -> ChannelSubscription {
        let multiplexer = Multiplexer::new(dialer.sentinel(sentinel), multiplexer_options());
        let (last, service) = (self.last.clone(), self.service.clone());
        let subscription = multiplexer.channels(move |event| {
            if let Event::Message { payload, .. } = event
                && let Some(switch) = read(&payload, &service)
            {
                note(&last, switch, &service);
            }
        });
        // It is open, and the name is a short one.
        let _ = subscription.add([CHANNEL]);
        subscription
    }
}

/// Keeps what is new: every sentinel says it.
fn note(last: &watch::Sender<Option<Switch>>, switch: Switch, service: &str) {
    let Switch { from, to, .. } = switch.clone();
    let new = last.send_if_modified(|last| {
        let known = last
            .as_ref()
            .is_some_and(|last| (&last.from, &last.to) == (&from, &to));
        *last = Some(switch);
        !known
    });
    if new {
        tracing::info!(service, %from, %to, "the sentinels have made another master");
    }
}

fn read(payload: &[u8], service: &str) -> Option<Switch> {
    let text = std::str::from_utf8(payload).ok()?;
    let words: Vec<&str> = text.split(' ').collect();
    let [name, from, from_port, to, to_port] = words[..] else {
        return None;
    };
    let host = |name: &str, port: &str| {
        let port = port.parse().ok()?;
        let name = name.into();
        Some(Host { name, port })
    };
    (name == service).then_some(())?;
    Some(Switch {
        from: host(from, from_port)?,
        to: host(to, to_port)?,
        at: Instant::now(),
    })
}

/// What has been told since a master was asked for.
#[derive(Debug)]
pub(super) struct Watch {
    service: Arc<str>,
    last: watch::Receiver<Option<Switch>>,
}

impl Watch {
    /// Whether a sentinel that names this master has not heard yet that another took its place.
    pub(super) fn is_old(&self, named: &Host) -> bool {
        let last = self.last.borrow();
        let last = last.as_ref();
        last.is_some_and(|last| last.from == *named && last.at.elapsed() < UNHEARD_MAX)
    }

    /// A connection to a master that ends when another takes its place.
    pub(super) fn guard(mut self, master: Host, stream: Box<dyn Transport>) -> Box<dyn Transport> {
        let replaced = async move {
            loop {
                if self.last.changed().await.is_err() {
                    // Nobody listens any more, and nobody uses the connection for long.
                    return std::future::pending().await;
                }
                let to = self.last.borrow_and_update().clone();
                if let Some(Switch { to, .. }) = to.filter(|switch| switch.to != master) {
                    let service = self.service;
                    return format!("the sentinels have made {to} the master {service}");
                }
            }
        };
        Box::new(Guarded {
            stream,
            replaced: Some(Box::pin(replaced)),
        })
    }
}

/// A connection that fails when the other side is not the master any more.
struct Guarded {
    stream: Box<dyn Transport>,
    /// Nothing once it was.
    replaced: Option<Pin<Box<dyn Future<Output = String> + Send>>>,
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // What the old master has answered is read first.
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_ready() {
            return read;
        }
        let replaced = this.replaced.as_mut();
        let Some(Poll::Ready(reason)) = replaced.map(|replaced| replaced.as_mut().poll(cx)) else {
            return Poll::Pending;
        };
        this.replaced = None;
        Poll::Ready(Err(io::Error::other(reason)))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_another_master_or_no_switch_is_passed_over() {
        let switch = read(b"main 10.0.0.1 6379 ::1 6380", "main").expect("a switch");
        assert_eq!(switch.from.to_string(), "10.0.0.1:6379");
        assert_eq!((&*switch.to.name, switch.to.port), ("::1", 6380));
        for other in [
            &b"other 10.0.0.1 6379 10.0.0.2 6379"[..],
            b"main 10.0.0.1 6379 10.0.0.2",
            b"main 10.0.0.1 x 10.0.0.2 6379",
            b"main 10.0.0.1 6379 10.0.0.2 6379 more",
            b"",
            b"\xff",
        ] {
            assert_eq!(read(other, "main"), None, "{other:?}");
        }
    }
}
