use crate::{
    generate::history,
    op::Op,
    rule::{Rule, Violation},
    transcript::Transcript,
    world::{Flaw, Tally, World},
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A history that broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The operations up to the one at which it showed.
    pub history: Vec<Op>,
    /// Which promise, and how.
    pub violation: Violation,
    /// What happened.
    pub transcript: Transcript,
}

/// Runs a history in a new world, with the end that every history has.
///
/// # Errors
/// [`Failure`] at the first promise that is broken.
pub fn run(
    history: &[Op],
    flaw: Flaw,
    transcript: Transcript,
) -> Result<(Tally, Transcript), Box<Failure>> {
    let mut done = 0;
    let told = transcript.clone();
    let failure = |violation, done: usize, transcript| {
        Box::new(Failure {
            history: history[..done.min(history.len())].to_vec(),
            violation,
            transcript,
        })
    };
    let mut world = match World::begin(flaw, transcript) {
        Ok(world) => world,
        Err(violation) => return Err(failure(violation, 0, told)),
    };
    let result = catch_unwind(AssertUnwindSafe(|| {
        for op in history {
            done += 1;
            world.run(op)?;
        }
        done += 1;
        world.finish()
    }));
    let transcript = std::mem::take(&mut world.transcript);
    match result {
        Ok(Ok(())) => Ok((world.tally, transcript)),
        Ok(Err(violation)) => Err(failure(violation, done, transcript)),
        Err(panic) => {
            // Its locks are poisoned: dropping it would panic again.
            std::mem::forget(world);
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or(panic.downcast_ref::<&str>().copied())
                .unwrap_or("a panic");
            let violation = Violation::new(Rule::Panics, text);
            Err(failure(violation, done, transcript))
        }
    }
}

/// Runs the history of a seed.
///
/// # Errors
/// [`Failure`] at the first promise that is broken.
pub fn run_seed(seed: u64) -> Result<Tally, Box<Failure>> {
    run(&history(seed), Flaw::None, Transcript::default()).map(|(tally, _)| tally)
}
