trunkline_model::counters! {
    /// What the wire has done.
    pub struct RpcProcessorCounters, counted by Counting {
        /// Calls that were queued.
        sent,
        /// Calls that Redis did not take.
        refused,
        /// Answers to calls that waited for them.
        answered,
        /// Answers to calls that nobody waited for any more.
        late_answers,
        /// Calls whose records were removed, because of their number or age.
        forgotten,
        /// Requests that were handed to workers here.
        dispatched,
        /// Ids in queues whose request was not there.
        missing,
        /// Requests that could not be read.
        malformed,
        /// Requests for methods that the worker doesn't offer.
        unknown_methods,
        /// Requests put back that an earlier worker of the same name was processing.
        put_back,
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
