//! "Did you mean": the known name nearest to a mistyped one.

/// Names longer than this are no slip of the finger, and comparing them costs.
const LONGEST: usize = 64;

/// The known name that `name` was most likely meant to be, if one is near enough: a third of
/// the letters may be wrong, missing, extra or swapped with their neighbour. Case doesn't count,
/// nor does `-` for `_`. The first of equally near names wins.
#[must_use]
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    if name.is_empty() || name.len() > LONGEST {
        return None;
    }
    let name = folded(name);
    known
        .iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (distance(&name, &folded(candidate)), *candidate))
        .filter(|(distance, candidate)| *distance <= allowed(name.len().max(candidate.len())))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn allowed(length: usize) -> usize {
    (length / 3).max(1)
}

fn folded(name: &str) -> Vec<u8> {
    name.bytes()
        .map(|byte| match byte {
            b'-' => b'_',
            _ => byte.to_ascii_lowercase(),
        })
        .collect()
}

/// Edits that make `a` into `b`: insert, delete, replace, or swap of neighbours (each letter
/// edited at most once).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (above[j - 1] + differs)
                .min(above[j] + 1)
                .min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_found() {
        let known = ["topic", "messages", "publish_id", "ttl_ms", "id"];
        for (typed, meant) in [
            ("topc", Some("topic")),
            ("tpoic", Some("topic")),
            ("Topic", Some("topic")),
            ("message", Some("messages")),
            ("publish-id", Some("publish_id")),
            ("publishid", Some("publish_id")),
            ("ttl", None),
            ("ttlms", Some("ttl_ms")),
            ("di", Some("id")),
            ("credit", None),
            ("", None),
            ("tópic", Some("topic")),
        ] {
            assert_eq!(nearest(typed, &known), meant, "{typed}");
        }
        assert_eq!(nearest(&"t".repeat(10_000), &known), None);
        assert_eq!(nearest("topic", &[]), None);
    }
}
