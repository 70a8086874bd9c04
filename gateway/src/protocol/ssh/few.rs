//! What a connection keeps by channel. Most have one channel and none has many, so a list that is
//! walked takes a quarter of a hash map's memory and less time.

/// A map with few keys.
#[derive(Debug)]
pub(super) struct Few<K, V>(Vec<(K, V)>);

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Copy + Eq, V> Few<K, V> {
    /// Returns what is kept by a key.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        let found = self.0.iter().find(|(held, _)| held == key);
        found.map(|(_, value)| value)
    }

    /// Returns what is kept by a key, to be changed.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let found = self.0.iter_mut().find(|(held, _)| held == key);
        found.map(|(_, value)| value)
    }

    /// Keeps something, and returns what it replaces.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(old) = self.get_mut(&key) {
            return Some(std::mem::replace(old, value));
        }
        if self.0.len() == self.0.capacity() {
            // Left to itself, a list begins with room for four.
            self.0.reserve_exact(self.0.len().max(1));
        }
        self.0.push((key, value));
        None
    }

    /// Takes out what is kept by a key.
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.0.iter().position(|(held, _)| held == key)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Keeps only what passes.
    pub(super) fn retain(&mut self, mut passes: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| passes(key, value));
    }

    /// Returns all that is kept, in no order.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// Returns true if there is no key.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many keys there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::Few;

    /// A hash map and this one are given the same to do, from numbers that look like chance.
    #[test]
    fn it_does_what_a_hash_map_does() {
        let (mut few, mut map) = (Few::default(), HashMap::new());
        let mut number: u32 = 1;
        for step in 0..5000u32 {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = number >> 28;
            match number >> 8 & 3 {
                0 => assert_eq!(few.remove(&key), map.remove(&key)),
                1 if step % 3 == 0 => {
                    few.get_mut(&key).into_iter().for_each(|value| *value += 1);
                    map.get_mut(&key).into_iter().for_each(|value| *value += 1);
                }
                1 if step % 100 == 0 => {
                    few.retain(|key, value| (*key + *value) % 2 == 0);
                    map.retain(|key, value| (*key + *value) % 2 == 0);
                }
                _ => assert_eq!(few.insert(key, step), map.insert(key, step)),
            }
            assert_eq!(few.get(&key), map.get(&key));
            assert_eq!(few.get_mut(&key), map.get_mut(&key));
            assert_eq!(few.len(), map.len());
            assert_eq!(few.values().sum::<u32>(), map.values().sum::<u32>());
        }
    }

    #[test]
    fn one_takes_room_for_one() {
        let mut few = Few::default();
        few.insert(1u32, [0u8; 64]);
        assert_eq!(few.0.capacity(), 1);
    }
}
