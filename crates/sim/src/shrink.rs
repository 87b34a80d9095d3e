use crate::{
    op::Op,
    run::{Failure, run},
    transcript::Transcript,
    world::Flaw,
};

/// Runs that a shrinking may take.
const RUNS_MAX: usize = 2_000;

/// The shortest history that still breaks the same promise, as far as leaving out operations leads
/// there: ever smaller pieces are left out, as long as that helps.
#[must_use]
pub fn shrink(failure: &Failure, flaw: Flaw) -> Failure {
    let mut best = failure.clone();
    let mut runs = 0;
    let mut piece = best.history.len().div_ceil(2).max(1);
    loop {
        let (mut at, mut has_helped) = (0, false);
        while at < best.history.len() && runs < RUNS_MAX {
            let mut shorter: Vec<Op> = best.history[..at].to_vec();
            let rest = (at + piece).min(best.history.len());
            shorter.extend_from_slice(&best.history[rest..]);
            runs += 1;
            match run(&shorter, flaw, Transcript::default()) {
                Err(still) if still.violation.rule == best.violation.rule => {
                    best = *still;
                    has_helped = true;
                }
                _ => at += piece,
            }
        }
        if runs >= RUNS_MAX || (piece == 1 && !has_helped) {
            break;
        }
        if !has_helped {
            piece = piece.div_ceil(2);
        }
        piece = piece.min(best.history.len().max(1));
    }
    // Once more, to be told about.
    match run(&best.history, flaw, Transcript::kept()) {
        Err(told) => *told,
        Ok(_) => best,
    }
}
