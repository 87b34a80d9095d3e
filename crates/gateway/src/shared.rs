use crate::{Counter, Counters, GatewayConfig, Services};
use hashbrown::HashMap;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};
use tokio::sync::{Notify, Semaphore};
use trunkline_model::{Caller, ConnectionId, Principal, Protocol, Wake};

const BACKUPS_MAX: usize = 1;

/// How far the gateway is on its way from start to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Everything is taken.
    Serving = 0,
    /// No new session, call, publish or consumer; what runs goes on.
    Draining = 1,
    /// No new connection; those that are there finish what they have and close.
    Closing = 2,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: GatewayConfig,
    pub(crate) services: Services,
    pub(crate) counters: Arc<Counters>,
    phase: AtomicU8,
    /// Wakes what is not a session: HTTP connections.
    pub(crate) phase_changed: Notify,
    /// Backups that may be read at once: each keeps space of the store.
    pub(crate) backups: Arc<Semaphore>,
    last_connection: AtomicU64,
    sessions: Mutex<HashMap<ConnectionId, Wake>>,
}

impl Shared {
    pub(crate) fn new(config: GatewayConfig, services: Services) -> Arc<Self> {
        Arc::new(Self {
            config,
            services,
            counters: Arc::default(),
            phase: AtomicU8::new(Phase::Serving as u8),
            phase_changed: Notify::new(),
            backups: Arc::new(Semaphore::new(BACKUPS_MAX)),
            last_connection: AtomicU64::new(0),
            sessions: Mutex::default(),
        })
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Closing,
        }
    }

    /// Moves on to `phase` and wakes everybody whom that concerns.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        self.phase_changed.notify_waiters();
        for wake in self.sessions().values() {
            wake.wake();
        }
    }

    /// A caller on a connection of its own.
    pub(crate) fn caller(&self, protocol: Protocol, peer: SocketAddr) -> Arc<Caller> {
        let number = self.last_connection.fetch_add(1, Ordering::Relaxed) + 1;
        Arc::new(Caller {
            principal: Principal::Anonymous,
            connection: ConnectionId(number),
            protocol,
            peer: Some(peer),
            trace: None,
        })
    }

    /// Has `wake` woken at every change of phase, until [`Shared::leave`].
    pub(crate) fn join(&self, caller: &Caller, wake: Wake) {
        self.open_sessions(caller.protocol).add(1);
        self.sessions().insert(caller.connection, wake);
    }

    pub(crate) fn leave(&self, caller: &Caller) {
        self.open_sessions(caller.protocol).leave();
        self.sessions().remove(&caller.connection);
    }

    fn open_sessions(&self, protocol: Protocol) -> &Counter {
        match protocol {
            Protocol::Stomp => &self.counters.stomp_sessions,
            _ => &self.counters.sessions,
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<ConnectionId, Wake>> {
        self.sessions
            .lock()
            .expect("no code panics while it holds the sessions")
    }
}
