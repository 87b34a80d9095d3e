//! What progress looks like on a terminal.

use crate::text;
use indicatif::{ProgressState, ProgressStyle};
use std::fmt;

/// A style from a template that may have `{rate}`: whole things a second.
pub(crate) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the template is right")
        .with_key("rate", |state: &ProgressState, to: &mut dyn fmt::Write| {
            // Only decoration: what can't be written is not missed.
            let _ = write!(to, "{}/s", text::count(state.per_sec() as u64));
        })
}
