use crate::{clock::START, op::Op};
use trunkline_model::Timestamp;

/// What happened, one operation a line with its time, and what came of it below.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    lines: Vec<String>,
    is_kept: bool,
}

impl Transcript {
    /// One that keeps what it is told.
    #[must_use]
    pub fn kept() -> Self {
        Self {
            lines: Vec::new(),
            is_kept: true,
        }
    }

    /// The lines so far.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    pub(crate) fn operation(&mut self, now: Timestamp, op: &Op) {
        if self.is_kept {
            let ms = now.since(START).as_millis();
            let line = format!("{:>7}.{:03}  {op}", ms / 1_000, ms % 1_000);
            self.lines.push(line);
        }
    }

    pub(crate) fn event(&mut self, text: impl FnOnce() -> String) {
        if self.is_kept {
            self.lines.push(format!("               {}", text()));
        }
    }
}
