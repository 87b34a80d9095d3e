use crate::{keys::Keys, messages::NO_GROUP};
use compact_str::CompactString;

/// Most groups that have stored messages in a topic; more are refused.
pub(crate) const GROUPS_MAX: usize = 16_000_000;

const _: () = assert!(GROUPS_MAX < NO_GROUP as usize);

/// The groups of a topic's stored messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    /// With the number of stored messages.
    texts: Keys,
}

impl Groups {
    pub(crate) fn is_empty(&self) -> bool {
        self.texts.len() == 0
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// The number of a group that one more message has.
    pub(crate) fn join(&mut self, group: &str) -> u32 {
        match self.texts.id_of(group) {
            Some(id) => {
                *self.texts.value_mut(id) += 1;
                id
            }
            None => self.texts.insert(CompactString::new(group), 1),
        }
    }

    /// One message less has a group; nobody needs its number after the last.
    pub(crate) fn leave(&mut self, group: u32) {
        let count = self.texts.value_mut(group);
        *count -= 1;
        if *count == 0 {
            self.texts.remove(group);
        }
    }

    /// The name of a group.
    pub(crate) fn text(&self, group: u32) -> Option<&str> {
        self.texts.text(group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_groups_as_long_as_it_has_messages() {
        let mut groups = Groups::default();
        let a = groups.join("a");
        assert_eq!((groups.join("a"), groups.len()), (a, 1));
        groups.leave(a);
        assert_eq!(groups.text(a), Some("a"));
        groups.leave(a);
        assert!(groups.is_empty());
        assert_eq!(groups.text(a), None);
    }
}
