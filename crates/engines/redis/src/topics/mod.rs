//! Topics on Redis: the whole state of one lies under keys with one hash tag, and one script changes
//! it.

mod script;
