//! What the tests need besides Rust: other languages with clients of theirs, a browser, a broker.
//!
//! Each is used where it is found, installed where it is not, and can be named by hand in the
//! variable that the tests read.

pub(crate) mod apt;
mod node;
mod programs;
mod python;
mod servers;
mod stamp;

use std::ffi::OsString;
use std::path::Path;

/// The variables that the tests read, with the program that each names. What is missing is
/// installed: from the distribution at one go, then into `folder` what comes from elsewhere.
pub(crate) fn variables(folder: &Path) -> anyhow::Result<Vec<(&'static str, OsString)>> {
    programs::install_missing()?;
    let mut variables = programs::variables()?;
    variables.push((python::VARIABLE, python::python(folder)?.into()));
    variables.push((node::VARIABLE, node::node(folder)?.into()));
    Ok(variables)
}

/// The variable that names the server of the tests over Redis.
pub(crate) const REDIS: &str = "TRUNKLINE_TEST_REDIS";

/// The other servers on which these tests run, by name: as many of them as can be installed into `folder`.
pub(crate) fn other_servers(folder: &Path) -> anyhow::Result<Vec<(&'static str, OsString)>> {
    Ok(servers::others(folder, &python::python(folder)?))
}

/// What the reader has chosen himself.
fn chosen(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|chosen| !chosen.is_empty())
}
