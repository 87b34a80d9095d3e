//! What the tests need besides Rust: a Python with `websockets`, and a browser.
//!
//! Each is used where it is found, installed where it is not, and can be named by hand in the
//! variable that the tests read.

pub(crate) mod apt;
mod chromium;
mod python;

pub(crate) use chromium::{VARIABLE as CHROMIUM, chromium};
pub(crate) use python::{VARIABLE as PYTHON, python};
