//! The topic state machine: priorities, dedupe, expiry, acknowledgement time-outs; pure.
