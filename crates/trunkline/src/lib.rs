//! The message backbone of an application: calls, queues and channels in one binary.
