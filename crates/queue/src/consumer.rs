use crate::held::HeldTags;
use trunkline_model::{ConsumerId, Delivery, DeliveryMode};

/// A subscription that a consumer takes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) topic: u32,
    pub(crate) subscription: u32,
    pub(crate) desk: u32,
    /// Unsettled deliveries from here.
    pub(crate) in_flight: u32,
    /// Stamp of the last delivery from here, or of the start.
    pub(crate) served: u64,
    /// In batch mode: whether the batch is still being decided.
    pub(crate) is_filling: bool,
}

/// Somebody who takes messages from one or several subscriptions.
#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    pub(crate) id: ConsumerId,
    pub(crate) sources: Vec<Source>,
    pub(crate) credit: u32,
    /// Sum of the sources' `in_flight`.
    pub(crate) unsettled: u32,
    pub(crate) window: u64,
    /// Bytes handed over and not yet taken, by [`Delivery::weight`].
    pub(crate) in_window: u64,
    pub(crate) auto_ack: bool,
    pub(crate) is_started: bool,
    pub(crate) held: HeldTags,
    pub(crate) last_tag: u64,
    /// Sources at whose desk it doesn't queue, because it could not take what was there.
    pub(crate) parked: Vec<u32>,
}

impl Consumer {
    /// Whether a message of `bytes` payload may be handed over now.
    pub(crate) fn can_take(&self, source: u32, bytes: u32, mode: DeliveryMode) -> bool {
        let source = &self.sources[source as usize];
        let credit = match self.auto_ack {
            true => self.credit > 0,
            false => self.unsettled < self.credit,
        };
        let weight = Delivery::weight_of(bytes.into());
        let window = self.in_window == 0 || self.in_window + weight <= self.window;
        let turn = mode == DeliveryMode::Stream || source.in_flight == 0 || source.is_filling;
        credit && window && turn
    }
}
