//! What one listener wants, and what of it is active. Pure.

use hashbrown::HashMap;
use std::fmt;
use trunkline_model::{ChannelName, Error, ErrorCode, ListenerEvent, Pattern};

/// What can be listened to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Channel(ChannelName),
    Pattern(Pattern),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Redis has not confirmed it. It was asked for together with others.
    Awaited(u64),
    /// Redis has, and the listener is told together with the others.
    Confirmed,
    /// The listener knows.
    Told,
    /// Redis said no.
    Refused,
}

/// The names of a listener. Those that were asked for together become active together, as far
/// as nothing else has to be said before: no message comes before its name is active.
#[derive(Debug, Default)]
pub(super) struct Names {
    states: HashMap<Name, State>,
    /// How many are awaited of those that were asked for together.
    groups: HashMap<u64, usize>,
    /// Confirmed ones, in order; among them some that were removed or lost meanwhile.
    untold: Vec<Name>,
    last_group: u64,
}

impl Names {
    /// Wants names, and leaves those that are new.
    pub(super) fn add(&mut self, names: &mut Vec<Name>) {
        self.last_group += 1;
        let group = self.last_group;
        names.retain(|name| {
            let new = !self.states.contains_key(name);
            if new {
                self.states.insert(name.clone(), State::Awaited(group));
            }
            new
        });
        if !names.is_empty() {
            self.groups.insert(group, names.len());
        }
    }

    /// Wants a name no longer; false if it did not. It may have been the last one awaited.
    pub(super) fn remove(&mut self, name: &Name, say: impl FnMut(ListenerEvent)) -> bool {
        let Some(state) = self.states.remove(name) else {
            return false;
        };
        if let State::Awaited(group) = state {
            self.settle(group, say);
        }
        true
    }

    /// Redis has confirmed a name.
    pub(super) fn active(&mut self, name: Name, mut say: impl FnMut(ListenerEvent)) {
        let Some(state) = self.states.get_mut(&name) else {
            return;
        };
        let was = *state;
        if !matches!(was, State::Awaited(_) | State::Refused) {
            return;
        }
        *state = State::Confirmed;
        self.untold.push(name);
        match was {
            State::Awaited(group) => self.settle(group, say),
            _ => self.tell(&mut say),
        }
    }

    /// Redis has refused a name.
    pub(super) fn refused(
        &mut self,
        name: &Name,
        reason: &str,
        mut say: impl FnMut(ListenerEvent),
    ) {
        let Some(state) = self.states.get_mut(name) else {
            return;
        };
        if let State::Awaited(group) = std::mem::replace(state, State::Refused) {
            say(refusal(name, reason));
            self.settle(group, say);
        }
    }

    /// A message comes.
    pub(super) fn message(&mut self, mut say: impl FnMut(ListenerEvent)) {
        self.tell(&mut say);
    }

    /// The connection is gone. Said once, however many subscriptions say so.
    pub(super) fn lost(&mut self, mut say: impl FnMut(ListenerEvent)) {
        self.untold.clear();
        self.groups.clear();
        self.last_group += 1;
        let group = self.last_group;
        let mut told = false;
        for state in self.states.values_mut() {
            told |= *state == State::Told;
            *state = State::Awaited(group);
        }
        if !self.states.is_empty() {
            self.groups.insert(group, self.states.len());
        }
        if told {
            say(ListenerEvent::Lost);
        }
    }

    /// One of a group is no longer awaited.
    fn settle(&mut self, group: u64, mut say: impl FnMut(ListenerEvent)) {
        let Some(awaited) = self.groups.get_mut(&group) else {
            return;
        };
        *awaited -= 1;
        if *awaited == 0 {
            self.groups.remove(&group);
            self.tell(&mut say);
        }
    }

    /// Tells what is confirmed.
    fn tell(&mut self, say: &mut impl FnMut(ListenerEvent)) {
        if self.untold.is_empty() {
            return;
        }
        let (mut channels, mut patterns) = (Vec::new(), Vec::new());
        for name in self.untold.drain(..) {
            if let Some(state) = self.states.get_mut(&name)
                && *state == State::Confirmed
            {
                *state = State::Told;
                match name {
                    Name::Channel(channel) => channels.push(channel),
                    Name::Pattern(pattern) => patterns.push(pattern),
                }
            }
        }
        if !channels.is_empty() || !patterns.is_empty() {
            say(ListenerEvent::Active { channels, patterns });
        }
    }
}

fn refusal(name: &Name, reason: &str) -> ListenerEvent {
    let text = format!(
        "Redis refuses to have {name} listened to: {reason}; its ACL must allow that to the user of the engine"
    );
    let error = Error::new(ErrorCode::Forbidden, text);
    let (channels, patterns) = match name.clone() {
        Name::Channel(channel) => (vec![channel], Vec::new()),
        Name::Pattern(pattern) => (Vec::new(), vec![pattern]),
    };
    ListenerEvent::Refused {
        channels,
        patterns,
        error,
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(channel) => write!(f, "channel {channel:?}"),
            Self::Pattern(pattern) => write!(f, "pattern {pattern:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of one letter, patterns in upper case.
    fn name(text: &str) -> Name {
        if text.chars().all(char::is_uppercase) {
            Name::Pattern(text.parse().unwrap())
        } else {
            Name::Channel(text.parse().unwrap())
        }
    }

    fn describe(event: &ListenerEvent) -> String {
        match event {
            ListenerEvent::Active { channels, patterns } => {
                let channels = channels.iter().map(|name| name.as_str());
                let patterns = patterns.iter().map(|name| name.as_str());
                let names: Vec<_> = channels.chain(patterns).collect();
                format!("active {}", names.concat())
            }
            ListenerEvent::Refused { error, .. } => error.message().to_owned(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    /// Runs a line of steps; each is a sign and names: `+` asks for them together, `-` removes, `!` is Redis'
    /// confirmation of each, `x` its refusal, `.` a message, `/` a loss. What each step says follows it.
    fn check(steps: &[(&str, &[&str])]) {
        let mut names = Names::default();
        for (step, expected) in steps {
            let mut said = Vec::new();
            let mut say = |event| said.push(describe(&event));
            let (sign, letters) = step.split_at(1);
            let mut given: Vec<Name> = letters.chars().map(|c| name(&c.to_string())).collect();
            match sign {
                "+" => names.add(&mut given),
                "-" => given
                    .iter()
                    .for_each(|name| _ = names.remove(name, &mut say)),
                "!" => given
                    .into_iter()
                    .for_each(|name| names.active(name, &mut say)),
                "x" => given
                    .iter()
                    .for_each(|name| names.refused(name, "NOPERM", &mut say)),
                "." => names.message(&mut say),
                "/" => names.lost(&mut say),
                _ => unreachable!("{sign}"),
            }
            assert_eq!(said, *expected, "{step} of {steps:?}");
        }
    }

    #[test]
    fn what_is_asked_for_together_becomes_active_together() {
        check(&[
            ("+abX", &[]),
            ("+bc", &[]),
            ("!a", &[]),
            ("!b", &[]),
            ("!c", &["active abc"]),
            ("!X", &["active X"]),
            ("!aX", &[]),
        ]);
    }

    #[test]
    fn no_message_comes_before_its_name_is_active() {
        check(&[
            ("+ab", &[]),
            ("!a", &[]),
            (".", &["active a"]),
            (".", &[]),
            ("!b", &["active b"]),
        ]);
    }

    #[test]
    fn what_is_removed_is_not_waited_for() {
        check(&[
            ("+ab", &[]),
            ("!a", &[]),
            ("-b", &["active a"]),
            ("!b", &[]),
            ("+cd", &[]),
            ("!c", &[]),
            ("-c", &[]),
            ("!d", &["active d"]),
            ("-zd", &[]),
            ("+d", &[]),
            ("!d", &["active d"]),
        ]);
    }

    #[test]
    fn a_loss_is_said_once_and_everything_is_awaited_again() {
        check(&[
            ("/", &[]),
            ("+ab", &[]),
            ("!a", &[]),
            // Nothing was active.
            ("/", &[]),
            ("!ab", &["active ab"]),
            ("+c", &[]),
            ("/", &["lost"]),
            ("/", &[]),
            ("+d", &[]),
            ("!ab", &[]),
            ("!d", &["active abd"]),
            ("!c", &["active c"]),
        ]);
    }

    #[test]
    fn a_refusal_holds_up_nobody_and_may_end() {
        let refused = "Redis refuses to have channel \"b\" listened to: NOPERM; its ACL must allow that to the user of the engine";
        check(&[
            ("+ab", &[]),
            ("!a", &[]),
            ("xb", &[refused, "active a"]),
            ("xb", &[]),
            ("!b", &["active b"]),
            ("/", &["lost"]),
            ("!a", &[]),
            ("xb", &[refused, "active a"]),
        ]);
    }
}
