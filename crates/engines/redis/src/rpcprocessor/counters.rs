use crate::counters::wire_counters;

wire_counters! {
    RpcProcessorCounters {
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
    }
}
