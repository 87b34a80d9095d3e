use std::collections::HashMap;

/// Fewest places once there is an entry; a power of two.
const PLACES_MIN: usize = 64;
/// Places that are kept when there is no entry.
const PLACES_KEPT: usize = 4_096;

/// A map whose keys are numbers given out in sequence, and whose entries mostly leave soon:
/// calls under way, dispatches.
///
/// The place of an entry is its number modulo the number of places, which is kept at twice the
/// number of entries and more: nothing is hashed, and neighbours in time are neighbours in
/// memory. An entry that is still there when its place comes round again moves to a hash map.
#[derive(Debug)]
pub struct Recent<T> {
    /// As many as a power of two, or none.
    places: Vec<Option<(u64, T)>>,
    /// Entries in `places`.
    near: usize,
    /// Entries whose places newer ones have.
    far: HashMap<u64, T>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            near: 0,
            far: HashMap::new(),
        }
    }
}

impl<T> Recent<T> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.near + self.far.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn place(&self, key: u64) -> usize {
        // No place gives an index that is out of bounds, whatever it is.
        key as usize & self.places.len().wrapping_sub(1)
    }

    /// Adds an entry whose key was never there before.
    pub fn insert(&mut self, key: u64, value: T) {
        if (self.near + 1) * 2 > self.places.len() {
            self.grow();
        }
        let place = self.place(key);
        if let Some((older, entry)) = self.places[place].replace((key, value)) {
            self.far.insert(older, entry);
        } else {
            self.near += 1;
        }
    }

    /// The entry of a key.
    pub fn get(&self, key: u64) -> Option<&T> {
        match self.places.get(self.place(key)) {
            Some(Some((number, value))) if *number == key => Some(value),
            _ if self.far.is_empty() => None,
            _ => self.far.get(&key),
        }
    }

    /// The entry of a key, to change it.
    pub fn get_mut(&mut self, key: u64) -> Option<&mut T> {
        let place = self.place(key);
        match self.places.get_mut(place) {
            Some(Some((number, value))) if *number == key => Some(value),
            _ if self.far.is_empty() => None,
            _ => self.far.get_mut(&key),
        }
    }

    /// Whether the key has an entry.
    pub fn contains(&self, key: u64) -> bool {
        self.get(key).is_some()
    }

    /// Takes the entry of a key.
    pub fn remove(&mut self, key: u64) -> Option<T> {
        let place = self.place(key);
        if let Some(entry) = self.places.get_mut(place)
            && let Some((_, value)) = entry.take_if(|(number, _)| *number == key)
        {
            self.near -= 1;
            self.shrink();
            return Some(value);
        }
        if self.far.is_empty() {
            return None;
        }
        self.far.remove(&key)
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        let near = self.places.iter().flatten();
        let near = near.map(|(key, value)| (*key, value));
        near.chain(self.far.iter().map(|(key, value)| (*key, value)))
    }

    /// Takes the entries that `which` wants, ordered by key.
    pub fn extract(&mut self, mut which: impl FnMut(u64, &T) -> bool) -> Vec<(u64, T)> {
        let mut taken: Vec<(u64, T)> = Vec::new();
        for place in &mut self.places {
            taken.extend(place.take_if(|(key, value)| which(*key, value)));
        }
        self.near -= taken.len();
        let far = self.far.extract_if(|key, value| which(*key, value));
        taken.extend(far);
        taken.sort_unstable_by_key(|(key, _)| *key);
        self.shrink();
        taken
    }

    fn grow(&mut self) {
        let places = (self.places.len() * 2).max(PLACES_MIN);
        let before = std::mem::take(&mut self.places);
        self.places.resize_with(places, || None);
        for (key, value) in before.into_iter().flatten() {
            let place = self.place(key);
            if let Some((older, entry)) = self.places[place].replace((key, value)) {
                self.far.insert(older, entry);
                self.near -= 1;
            }
        }
    }

    /// A burst must not keep its memory.
    fn shrink(&mut self) {
        if self.near == 0 && self.places.len() > PLACES_KEPT && self.far.is_empty() {
            self.places = Vec::new();
            self.far = HashMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Against a plain map: some entries stay, most leave soon, bursts come and go.
    #[test]
    fn agrees_with_a_plain_map() {
        let mut map = Recent::default();
        let mut plain = BTreeMap::new();
        let mut random = 7u64;
        for key in 1..20_000u64 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            map.insert(key, key * 3);
            plain.insert(key, key * 3);
            let burst = if (key / 1_000) % 3 == 0 { 700 } else { 10 };
            while plain.len() > burst {
                let newest = *plain.keys().next_back().unwrap();
                let back = (random >> 33) % 40;
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let oldest = *plain.keys().next().unwrap();
                // The first hundred stay until the end.
                let gone = newest.saturating_sub(back).max(oldest);
                let gone = if gone < 100 { newest } else { gone };
                assert_eq!(map.remove(gone), plain.remove(&gone));
                if plain.len() <= 100 {
                    break;
                }
            }
            assert_eq!(map.len(), plain.len());
            assert_eq!(map.get(key / 2), plain.get(&(key / 2)));
            assert_eq!(map.get_mut(key), plain.get_mut(&key));
        }
        let mut all: Vec<(u64, u64)> = map.iter().map(|(key, value)| (key, *value)).collect();
        all.sort_unstable();
        assert!(all.iter().copied().eq(plain.iter().map(|(k, v)| (*k, *v))));
        let odd = map.extract(|key, _| key % 2 == 1);
        plain.retain(|key, _| key % 2 == 0);
        assert!(odd.is_sorted() && odd.iter().all(|(key, _)| key % 2 == 1));
        assert_eq!(map.len(), plain.len());
        for key in plain.keys() {
            assert!(map.contains(*key));
        }
    }

    #[test]
    fn an_old_entry_outlives_any_number_of_new_ones() {
        let mut map = Recent::default();
        map.insert(5, "old");
        for key in 6..1_000 {
            map.insert(key, "new");
            assert_eq!(map.remove(key), Some("new"));
        }
        assert_eq!((map.get(5), map.len()), (Some(&"old"), 1));
        assert_eq!(map.remove(5), Some("old"));
        assert!(map.is_empty() && map.remove(5).is_none() && map.get(5).is_none());
    }

    #[test]
    fn a_burst_keeps_no_memory() {
        let mut map = Recent::default();
        for key in 0..10_000 {
            map.insert(key, key);
        }
        for key in 0..10_000 {
            assert_eq!(map.remove(key), Some(key));
        }
        assert!(map.places.is_empty());
    }
}
