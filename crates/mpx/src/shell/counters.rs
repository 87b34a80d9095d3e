trunkline_model::counters! {
    /// What a multiplexer has done since it was made.
    pub struct Counters, counted by Counting {
        /// Connections that were made.
        connections,
        /// Attempts to make one that failed.
        connect_failures,
        /// Connections that were lost.
        losses,
        /// Commands that were sent, among them those that only ask whether the server is there.
        commands,
        /// Bytes that were read.
        bytes,
        /// Messages that were received and concerned somebody, once for each name that was asked for.
        messages,
        /// Messages handed to subscriptions.
        deliveries,
        /// Events that a full queue lost.
        dropped,
        /// Subscriptions that were ended because their queue was full.
        overflows,
        /// Names that Redis refused.
        refused,
        /// Callbacks that panicked.
        panics,
        /// Different names that are wanted now.
        wanted_now,
        /// Names that are active now.
        active_now,
        /// Subscriptions that are open now.
        subscriptions_now,
    }
}
