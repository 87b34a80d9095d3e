use std::collections::BTreeMap;
use std::sync::Arc;
use trunkline_model::Timestamp;

/// A name that somebody wants, or that the server was told about.
#[derive(Debug)]
pub(super) struct Entry<L> {
    listeners: BTreeMap<u64, L>,
    /// The same, for messages; made again at the first one after a change.
    shared: Option<Arc<[L]>>,
    /// What the server was told last on this connection.
    pub(super) asked: bool,
    /// Commands about it that the server has not answered.
    pub(super) unconfirmed: u32,
    /// Messages may come: the server has confirmed the name, and nothing was sent since.
    active: bool,
    /// The server said no; it isn't asked again on this connection.
    pub(super) refused: bool,
    /// Since when nobody hears it, if it was heard on an earlier connection.
    unheard_since: Option<Timestamp>,
    /// It is among the changed ones.
    pub(super) noted: bool,
}

impl<L> Default for Entry<L> {
    fn default() -> Self {
        Self {
            listeners: BTreeMap::new(),
            shared: None,
            asked: false,
            unconfirmed: 0,
            active: false,
            refused: false,
            unheard_since: None,
            noted: false,
        }
    }
}

impl<L: Clone> Entry<L> {
    pub(super) fn join(&mut self, place: u64, listener: L) {
        // Whoever wants it next may be luckier, and must hear if not.
        if std::mem::take(&mut self.refused) {
            self.asked = false;
        }
        self.listeners.insert(place, listener);
        self.shared = None;
    }

    pub(super) fn leave(&mut self, place: u64) {
        self.listeners.remove(&place);
        self.shared = None;
    }

    pub(super) fn listeners(&mut self) -> Arc<[L]> {
        let listeners = || self.listeners.values().cloned().collect();
        self.shared.get_or_insert_with(listeners).clone()
    }

    pub(super) fn is_wanted(&self) -> bool {
        !self.listeners.is_empty()
    }

    pub(super) const fn is_active(&self) -> bool {
        self.active
    }

    /// Whether the server has to be told something.
    pub(super) fn differs(&self) -> bool {
        self.is_wanted() != self.asked && (self.asked || !self.refused)
    }

    /// Whether nothing has to be remembered of it.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_wanted() && !self.asked && self.unconfirmed == 0 && !self.noted
    }

    /// The server is being told.
    pub(super) fn ask(&mut self, wanted: bool) {
        self.asked = wanted;
        self.active = false;
        self.unconfirmed += 1;
    }

    /// The server has confirmed; true if messages may come from now on.
    pub(super) fn confirm(&mut self, subscribe: bool) -> bool {
        self.unconfirmed = self.unconfirmed.saturating_sub(1);
        self.active = subscribe && self.asked && self.unconfirmed == 0;
        self.active
    }

    /// The server has refused, or taken the name away by itself.
    pub(super) fn withdraw(&mut self, now: Timestamp, refused: bool) {
        if self.active {
            self.unheard_since = Some(now);
        }
        self.asked = false;
        self.active = false;
        self.refused = refused;
    }

    /// Since when nobody has heard it, if it was heard before; asked once.
    pub(super) fn take_unheard(&mut self) -> Option<Timestamp> {
        self.unheard_since.take()
    }

    /// Somebody else sees to it, or does so no longer.
    pub(super) const fn hand_over(&mut self, wanted: bool) {
        self.asked = wanted;
        self.active = false;
    }

    /// It is heard, also for who may come before anybody sees to it that it isn't wanted; false if it was already.
    pub(super) fn hear(&mut self) -> bool {
        if self.active || !self.asked {
            return false;
        }
        self.refused = false;
        self.active = true;
        true
    }

    /// It isn't heard any more; false if it was not.
    pub(super) fn silence(&mut self, now: Timestamp) -> bool {
        if self.active {
            self.unheard_since = Some(now);
        }
        std::mem::take(&mut self.active)
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, now: Timestamp) {
        if self.active {
            self.unheard_since = Some(now);
        }
        self.asked = false;
        self.unconfirmed = 0;
        self.active = false;
        self.refused = false;
        self.noted = false;
    }
}
