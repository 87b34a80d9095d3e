//! How long a start takes, from the new process to the first `200` of `/readyz`.

use anyhow::{Context as _, Result};

use super::Context;
use crate::measure::{Measure, Unit};

/// With an empty data directory.
pub(crate) fn empty(context: &Context<'_>) -> Result<Measure> {
    let server = context.started.context("a server started by us")?;
    let ready_after = server.ready_after();
    Ok(Measure::of_value(
        Unit::Milliseconds,
        ready_after.as_secs_f64() * 1_000.0,
    ))
}
