trunkline_model::counters! {
    /// What the wire has done.
    pub struct ConsumerGroupsCounters, counted by Counting {
        /// Calls that were written to a stream.
        sent,
        /// Calls that Redis did not take.
        refused,
        /// Replies to calls that waited for them.
        answered,
        /// Replies to calls that nobody waits for, or that were answered before.
        late_replies,
        /// Messages on the reply channel that were no replies.
        bad_replies,
        /// Requests that were handed to workers here.
        dispatched,
        /// Requests that came after their deadline and were dropped.
        expired,
        /// Entries that were no requests.
        malformed,
        /// Requests for methods that the worker doesn't offer.
        unknown_methods,
        /// Requests that an earlier process of the same name left, and that were not run again.
        abandoned,
        /// Requests taken over from workers that are gone.
        claimed,
        /// Answers of workers here that Redis didn't take while somebody waited for them.
        lost_answers,
        /// Connections that were made. Whatever is more than at the beginning came after losses.
        connections,
        /// Calls that wait for their answer now.
        pending_now,
        /// Calls that workers of this process run now.
        running_now,
    }
}
