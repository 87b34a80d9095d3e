//! The task that writes answers.

use super::Serve;
use crate::bundle::Bundle;
use crate::deployment::Failure;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use trunkline_model::Backoff;

/// Most answers of one round trip.
const ANSWERS_AT_ONCE: usize = 256;

/// How long an answer that nobody heard is written again: who waits for it may have lost his connection, and is back
/// by then.
const UNHEARD_FOR: Duration = Duration::from_secs(5);
/// Most answers that are kept for that: who is gone for good shall not cost more.
const UNHEARD_MAX: usize = 1_000;

/// An answer, whether it was sent before, and since when nobody hears it.
struct Writing<A> {
    answer: A,
    again: bool,
    unheard: Option<Instant>,
}

/// What is to be written again.
struct Again<A> {
    answers: Vec<Writing<A>>,
    failures: u32,
    at: Instant,
}

/// Writes answers until their worker is over and nothing is left. What Redis doesn't take is kept and tried
/// again; calls are read only while there aren't too many of them.
pub(super) async fn write_answers<S: Serve>(
    shared: Arc<S>,
    mut answered: mpsc::UnboundedReceiver<S::Answer>,
) {
    let mut again = Again {
        answers: Vec::new(),
        failures: 0,
        at: Instant::now(),
    };
    let mut new = Vec::new();
    loop {
        tokio::select! {
            count = answered.recv_many(&mut new, ANSWERS_AT_ONCE) => {
                if count == 0 && again.answers.is_empty() {
                    return;
                }
                if count == 0 {
                    tokio::time::sleep_until(again.at).await;
                }
            }
            () = tokio::time::sleep_until(again.at), if !again.answers.is_empty() => {}
        }
        let mut answers: Vec<_> = new
            .drain(..)
            .map(|answer| Writing {
                answer,
                again: false,
                unheard: None,
            })
            .collect();
        if again.at <= Instant::now() {
            answers.append(&mut again.answers);
        }
        write(&*shared, answers, &mut again).await;
    }
}

async fn write<S: Serve>(
    shared: &S,
    answers: Vec<Writing<S::Answer>>,
    again: &mut Again<S::Answer>,
) {
    let mut bundle = Bundle::new(shared.deployment());
    for writing in &answers {
        bundle.begin();
        shared.write(&writing.answer, writing.again, &mut bundle);
    }
    let results = bundle.run(shared.deployment()).await;
    let (before, mut done) = (again.answers.len(), 0);
    for (mut writing, result) in answers.into_iter().zip(results) {
        let answer = &writing.answer;
        let result = result.map(|said| shared.is_heard(answer, &said));
        if is_to_be_repeated(shared, answer, &result, &mut writing.unheard, again) {
            writing.again = true;
            again.answers.push(writing);
            continue;
        }
        if let Err(error) = &result {
            tracing::warn!(%error, "an answer is lost; its call ends with its time-out");
        }
        shared.done(answer, matches!(result, Ok(true)));
        done += 1;
    }
    if again.answers.len() > before {
        let random = RandomState::new().hash_one(again.failures);
        again.at = Instant::now() + Backoff::RECONNECT.delay(again.failures, random);
        again.failures = again.failures.saturating_add(1);
    } else {
        again.failures = 0;
    }
    shared.crew().written(done);
}

fn is_to_be_repeated<S: Serve>(
    shared: &S,
    answer: &S::Answer,
    result: &Result<bool, Failure>,
    unheard: &mut Option<Instant>,
    again: &Again<S::Answer>,
) -> bool {
    if shared.now() >= shared.worth_until(answer) {
        return false;
    }
    match result {
        Ok(true) => false,
        Ok(false) => {
            let now = Instant::now();
            let since = *unheard.get_or_insert(now);
            now < since + UNHEARD_FOR && again.answers.len() < UNHEARD_MAX
        }
        Err(failure) => failure.is_undone() || matches!(failure, Failure::Unanswered { .. }),
    }
}
