use compact_str::CompactString;
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::{collections::VecDeque, sync::Arc};
use trunkline_model::{ChannelMessage, ChannelName, ListenHandle, ListenerEvent, ListenerQueue};
use trunkline_stomp::{SubscriptionNumber, Token};

/// What one connection listens to.
#[derive(Default)]
pub(super) struct Channels {
    pub(super) listener: Option<Listener>,
    names: HashMap<ChannelName, Name>,
    listeners: HashMap<SubscriptionNumber, Listening>,
    /// Taken from the listener's buffer, not yet acted on.
    pub(super) taken: VecDeque<ListenerEvent>,
    /// Messages that wait for the RECEIPT of their subscription, in bytes.
    early_bytes: usize,
    /// Messages that were written: it numbers them.
    pub(super) heard: u64,
}

/// The connection's end of the engine's channels.
pub(super) struct Listener {
    pub(super) handle: Box<dyn ListenHandle>,
    pub(super) queue: Arc<ListenerQueue>,
}

/// A channel, and who of this connection listens to it.
#[derive(Default)]
struct Name {
    active: bool,
    members: SmallVec<[SubscriptionNumber; 1]>,
    /// SUBSCRIBEs that wait until it is active.
    asking: SmallVec<[Token; 1]>,
}

/// A subscription that listens.
pub(super) struct Listening {
    pub(super) channel: ChannelName,
    /// As the client wrote it.
    pub(super) destination: CompactString,
    started: bool,
    /// Messages that came before its RECEIPT was written.
    early: Vec<Arc<ChannelMessage>>,
}

impl Channels {
    /// Somebody listens; whether the engine has to be told, and whether the SUBSCRIBE is done.
    pub(super) fn add(
        &mut self,
        number: SubscriptionNumber,
        channel: ChannelName,
        destination: CompactString,
        token: Token,
    ) -> Added {
        let name = self.names.entry(channel.clone()).or_default();
        let is_first = name.members.is_empty();
        name.members.push(number);
        if !name.active {
            name.asking.push(token);
        }
        let active = name.active;
        let listening = Listening {
            channel,
            destination,
            started: false,
            early: Vec::new(),
        };
        self.listeners.insert(number, listening);
        Added { is_first, active }
    }

    /// Somebody listens no longer.
    pub(super) fn remove(&mut self, number: SubscriptionNumber) -> Option<Removed> {
        let listening = self.listeners.remove(&number)?;
        let early = listening.early.iter().map(|message| message.weight());
        self.early_bytes -= early.sum::<usize>();
        let name = self.names.get_mut(&listening.channel)?;
        name.members.retain(|member| *member != number);
        if !name.members.is_empty() {
            return None;
        }
        let asking = std::mem::take(&mut name.asking);
        self.names.remove(&listening.channel);
        Some(Removed {
            channel: listening.channel,
            asking,
        })
    }

    /// The engine listens to a channel (again); the SUBSCRIBEs that are done with that.
    pub(super) fn active(&mut self, channel: &ChannelName) -> SmallVec<[Token; 1]> {
        let Some(name) = self.names.get_mut(channel) else {
            return SmallVec::new();
        };
        name.active = true;
        std::mem::take(&mut name.asking)
    }

    /// A channel can't be listened to; the SUBSCRIBEs that waited for it.
    pub(super) fn refused(&mut self, channel: &ChannelName) -> SmallVec<[Token; 1]> {
        let name = self.names.get_mut(channel);
        name.map(|name| std::mem::take(&mut name.asking))
            .unwrap_or_default()
    }

    /// Those who listen to a channel.
    pub(super) fn members(&self, channel: &ChannelName) -> SmallVec<[SubscriptionNumber; 1]> {
        let name = self.names.get(channel);
        name.map(|name| name.members.clone()).unwrap_or_default()
    }

    pub(super) fn get(&self, number: SubscriptionNumber) -> Option<&Listening> {
        self.listeners.get(&number)
    }

    /// Its RECEIPT is written: what came for it before.
    pub(super) fn start(&mut self, number: SubscriptionNumber) -> Vec<Arc<ChannelMessage>> {
        let Some(listening) = self.listeners.get_mut(&number) else {
            return Vec::new();
        };
        listening.started = true;
        let early = std::mem::take(&mut listening.early);
        let bytes: usize = early.iter().map(|message| message.weight()).sum();
        self.early_bytes -= bytes;
        early
    }

    /// Keeps a message for a subscription whose RECEIPT is not written: true if it has to wait,
    /// or is dropped because too many do.
    pub(super) fn keep(
        &mut self,
        number: SubscriptionNumber,
        message: &Arc<ChannelMessage>,
        bytes_max: usize,
    ) -> Kept {
        match self.listeners.get_mut(&number) {
            Some(listening) if !listening.started => {
                let bytes = message.weight();
                if self.early_bytes + bytes > bytes_max {
                    return Kept::Dropped;
                }
                self.early_bytes += bytes;
                listening.early.push(message.clone());
                Kept::Waits
            }
            _ => Kept::Not,
        }
    }
}

/// What a subscription to a channel came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Added {
    /// Nobody of this connection listened before.
    pub(super) is_first: bool,
    /// Messages come already.
    pub(super) active: bool,
}

/// A channel to which nobody of this connection listens any more.
pub(super) struct Removed {
    pub(super) channel: ChannelName,
    /// SUBSCRIBEs that waited until it is active, which nobody will say now.
    pub(super) asking: SmallVec<[Token; 1]>,
}

/// What becomes of a message for a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It can be written.
    Not,
    /// It waits.
    Waits,
    /// There is no room for it to wait.
    Dropped,
}
