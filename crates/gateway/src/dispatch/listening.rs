use hashbrown::HashMap;
use std::{hash::Hash, time::Duration};
use trunkline_model::{ChannelName, Pattern, Timestamp};

/// How far a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Asked for.
    Asked,
    /// Messages come.
    Active,
    /// Messages may be missed since then.
    Lost(Timestamp),
}

/// What a connection listens to. Pure.
#[derive(Debug)]
pub(crate) struct Listening<R> {
    channels: HashMap<ChannelName, State>,
    patterns: HashMap<Pattern, State>,
    /// Requests that are answered once all their names are active, in order.
    asking: Vec<Asking<R>>,
}

#[derive(Debug)]
struct Asking<R> {
    who: R,
    channels: Vec<ChannelName>,
    patterns: Vec<Pattern>,
    /// Those among them that were not wanted before.
    added: Names,
}

/// Channels and patterns.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) channels: Vec<ChannelName>,
    pub(crate) patterns: Vec<Pattern>,
}

/// Names that messages come from again after a loss, and for how long they may have been missed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Regained {
    pub(crate) channels: Vec<ChannelName>,
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) gap: Duration,
}

impl<R> Listening<R> {
    pub(crate) fn new() -> Self {
        Self {
            channels: HashMap::new(),
            patterns: HashMap::new(),
            asking: Vec::new(),
        }
    }

    /// How many names that would be with these too.
    pub(crate) fn len_with(&self, channels: &[ChannelName], patterns: &[Pattern]) -> usize {
        let new_channels = channels.iter().filter(|c| !self.channels.contains_key(*c));
        let new_patterns = patterns.iter().filter(|p| !self.patterns.contains_key(*p));
        self.channels.len() + self.patterns.len() + new_channels.count() + new_patterns.count()
    }

    /// How many requests wait for names to become active.
    pub(crate) fn asking(&self) -> usize {
        self.asking.len()
    }

    /// Whether somebody waits for names to become active.
    pub(crate) fn is_asking(&self) -> bool {
        !self.asking.is_empty()
    }

    /// `who` wants these too.
    pub(crate) fn ask(&mut self, who: R, channels: Vec<ChannelName>, patterns: Vec<Pattern>) {
        let added = Names {
            channels: add(&mut self.channels, &channels),
            patterns: add(&mut self.patterns, &patterns),
        };
        self.asking.push(Asking {
            who,
            channels,
            patterns,
            added,
        });
    }

    /// Those whose names are all active now, or no longer wanted.
    pub(crate) fn answered(&mut self) -> Vec<R> {
        let pending = |state: Option<&State>| state.is_some_and(|state| *state != State::Active);
        let (channels, patterns) = (&self.channels, &self.patterns);
        self.asking
            .extract_if(.., |asking| {
                !asking.channels.iter().any(|c| pending(channels.get(c)))
                    && !asking.patterns.iter().any(|p| pending(patterns.get(p)))
            })
            .map(|asking| asking.who)
            .collect()
    }

    /// These can't be listened to: who asked for any of them, to be told so, and what was added for them and
    /// nobody else has asked for, which is not wanted any more.
    pub(crate) fn refused(
        &mut self,
        channels: &[ChannelName],
        patterns: &[Pattern],
    ) -> (Vec<R>, Names) {
        let concerned = self.asking.extract_if(.., |asking| {
            asking.channels.iter().any(|c| channels.contains(c))
                || asking.patterns.iter().any(|p| patterns.contains(p))
        });
        let (mut who, mut given_up) = (Vec::new(), Names::default());
        for asking in concerned {
            who.push(asking.who);
            given_up.channels.extend(asking.added.channels);
            given_up.patterns.extend(asking.added.patterns);
        }
        let left = &self.asking;
        let wanted = |c: &ChannelName| left.iter().any(|asking| asking.channels.contains(c));
        given_up.channels.retain(|channel| !wanted(channel));
        let wanted = |p: &Pattern| left.iter().any(|asking| asking.patterns.contains(p));
        given_up.patterns.retain(|pattern| !wanted(pattern));
        self.drop_names(&given_up.channels, &given_up.patterns);
        (who, given_up)
    }

    /// These are not wanted any more.
    pub(crate) fn drop_names(&mut self, channels: &[ChannelName], patterns: &[Pattern]) {
        for channel in channels {
            self.channels.remove(channel);
        }
        for pattern in patterns {
            self.patterns.remove(pattern);
        }
    }

    /// Whether a message that came in this way is still wanted.
    pub(crate) fn wants(&self, channel: &ChannelName, pattern: Option<&Pattern>) -> bool {
        match pattern {
            None => self.channels.contains_key(channel),
            Some(pattern) => self.patterns.contains_key(pattern),
        }
    }

    /// The engine listens to these (again) at `now`; those among them that had been lost.
    pub(crate) fn active(
        &mut self,
        now: Timestamp,
        channels: &[ChannelName],
        patterns: &[Pattern],
    ) -> Option<Regained> {
        let (channels, since) = activate(&mut self.channels, channels);
        let (patterns, also_since) = activate(&mut self.patterns, patterns);
        let since = since.into_iter().chain(also_since).min()?;
        Some(Regained {
            channels,
            patterns,
            gap: now.since(since),
        })
    }

    /// The engine lost its connection at `now`; the names that were active.
    pub(crate) fn lost(&mut self, now: Timestamp) -> (Vec<ChannelName>, Vec<Pattern>) {
        (lose(&mut self.channels, now), lose(&mut self.patterns, now))
    }

    /// The names in effect, sorted.
    pub(crate) fn in_effect(&self) -> (Vec<&ChannelName>, Vec<&Pattern>) {
        (sorted_active(&self.channels), sorted_active(&self.patterns))
    }
}

/// Wants names; those that were not wanted before.
fn add<N: Clone + Eq + Hash>(states: &mut HashMap<N, State>, names: &[N]) -> Vec<N> {
    let mut added = Vec::new();
    for name in names {
        states.entry(name.clone()).or_insert_with(|| {
            added.push(name.clone());
            State::Asked
        });
    }
    added
}

fn activate<N: Clone + Eq + Hash>(
    states: &mut HashMap<N, State>,
    names: &[N],
) -> (Vec<N>, Option<Timestamp>) {
    let (mut regained, mut since) = (Vec::new(), None::<Timestamp>);
    for name in names {
        let Some(state) = states.get_mut(name) else {
            continue;
        };
        if let State::Lost(at) = *state {
            regained.push(name.clone());
            since = Some(since.map_or(at, |since| since.min(at)));
        }
        *state = State::Active;
    }
    (regained, since)
}

fn lose<N: Clone + Ord>(states: &mut HashMap<N, State>, now: Timestamp) -> Vec<N> {
    let mut lost = Vec::new();
    for (name, state) in states.iter_mut() {
        if *state == State::Active {
            *state = State::Lost(now);
            lost.push(name.clone());
        }
    }
    lost.sort();
    lost
}

fn sorted_active<N: Ord>(states: &HashMap<N, State>) -> Vec<&N> {
    let mut names: Vec<&N> = states
        .iter()
        .filter(|(_, state)| **state == State::Active)
        .map(|(name, _)| name)
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_request_is_answered_when_all_its_names_are_active() {
        let mut listening = Listening::new();
        listening.ask(1, vec![channel("a"), channel("b")], vec![]);
        listening.ask(2, vec![channel("b")], vec![Pattern::new("p*").unwrap()]);
        assert_eq!(listening.active(at(0), &[channel("b")], &[]), None);
        assert_eq!(listening.answered(), [] as [i32; 0]);
        listening.active(at(0), &[channel("a"), channel("stranger")], &[]);
        assert_eq!(listening.answered(), [1]);
        listening.drop_names(&[], &[Pattern::new("p*").unwrap()]);
        assert_eq!(listening.answered(), [2]);
        assert_eq!(listening.in_effect().0, [&channel("a"), &channel("b")]);
        assert!(!listening.wants(&channel("stranger"), None));
    }

    #[test]
    fn a_refusal_ends_the_requests_that_named_it_and_what_only_they_wanted() {
        let mut listening = Listening::new();
        listening.ask(1, vec![channel("a")], vec![]);
        listening.active(at(0), &[channel("a")], &[]);
        assert_eq!(listening.answered(), [1]);
        let all = Pattern::new("*").unwrap();
        listening.ask(
            2,
            ["a", "b", "c", "x"].map(channel).into(),
            vec![all.clone()],
        );
        listening.ask(3, vec![channel("x")], vec![]);
        listening.ask(4, vec![channel("c")], vec![]);
        listening.active(at(0), &[channel("b")], &[]);
        let (who, given_up) = listening.refused(&[channel("x")], &[]);
        let expected = Names {
            channels: vec![channel("b"), channel("x")],
            patterns: vec![all.clone()],
        };
        assert_eq!((who, given_up), (vec![2, 3], expected));
        listening.active(at(0), &[channel("c")], &[]);
        assert_eq!(listening.answered(), [4]);
        assert_eq!(listening.in_effect().0, [&channel("a"), &channel("c")]);
        assert!(
            !listening.wants(&channel("b"), None) && !listening.wants(&channel("b"), Some(&all))
        );
        // What was heard before and is refused after a loss may come back.
        listening.lost(at(0));
        assert_eq!(
            listening.refused(&[channel("a")], &[]),
            (vec![], Names::default())
        );
        assert!(listening.wants(&channel("a"), None));
    }

    #[test]
    fn a_loss_is_told_with_its_gap() {
        let mut listening = Listening::new();
        listening.ask(1, vec![channel("a"), channel("b")], vec![]);
        listening.active(at(0), &[channel("a")], &[]);
        assert_eq!(listening.lost(at(100)).0, [channel("a")]);
        assert_eq!(listening.lost(at(200)).0, []);
        assert!(listening.in_effect().0.is_empty());
        let regained = listening.active(at(1_100), &[channel("a"), channel("b")], &[]);
        let expected = Regained {
            channels: vec![channel("a")],
            patterns: vec![],
            gap: Duration::from_millis(1_000),
        };
        assert_eq!(regained, Some(expected));
        assert_eq!(listening.answered(), [1]);
    }
}
