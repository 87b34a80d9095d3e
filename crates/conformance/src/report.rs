use std::fmt;

/// A case that did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Group and name of the case.
    pub case: String,
    /// The capability that isn't claimed.
    pub missing: &'static str,
}

/// A case that did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Group and name of the case.
    pub case: String,
    /// What was found.
    pub why: String,
}

/// What a run of the suite came to. Its text form lists what did not run and what failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The engine, by [`Factory::name`](crate::Factory::name).
    pub engine: String,
    /// Cases that passed.
    pub passed: Vec<String>,
    /// Cases that did not run.
    pub skipped: Vec<Skipped>,
    /// Cases that failed.
    pub failed: Vec<Failure>,
}

impl Report {
    /// Whether nothing failed.
    pub fn is_ok(&self) -> bool {
        self.failed.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            engine,
            passed,
            skipped,
            failed,
        } = self;
        writeln!(
            f,
            "{engine}: {} passed, {} failed, {} not run",
            passed.len(),
            failed.len(),
            skipped.len()
        )?;
        for Skipped { case, missing } in skipped {
            writeln!(f, "  not run: {case} (needs {missing})")?;
        }
        for Failure { case, why } in failed {
            writeln!(f, "  FAILED: {case}: {why}")?;
        }
        Ok(())
    }
}
