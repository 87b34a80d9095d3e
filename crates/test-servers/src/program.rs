//! Programs that `cargo xtask test` has found or installed.

use std::env;
use std::path::PathBuf;

/// The program that an environment variable names, such as `TRUNKLINE_TEST_RABBITMQ`. `None`, after saying so on
/// stderr, if the variable is not set: the test then passes without having tried anything.
///
/// # Panics
///
/// If it is not set, and `CI` or `TRUNKLINE_TEST_REQUIRED` is.
#[must_use]
pub fn program(variable: &str) -> Option<PathBuf> {
    let found = env::var_os(variable).filter(|found| !found.is_empty());
    if found.is_none() {
        let required = env::var_os("CI").or(env::var_os("TRUNKLINE_TEST_REQUIRED"));
        assert!(
            required.is_none(),
            "{variable} is not set: run cargo xtask test"
        );
        eprintln!("skipped: run cargo xtask test, which sets {variable}");
    }
    found.map(PathBuf::from)
}
