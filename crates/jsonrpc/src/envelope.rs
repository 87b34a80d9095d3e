//! The members of a request or answer, collected in one pass and not yet judged.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{Limits, Scanner};

/// The members JSON-RPC knows, each as its text, so that a value of a wrong type is still JSON
/// and can be refused by name and with the right id.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    pub(crate) jsonrpc: Option<&'a str>,
    pub(crate) id: Option<&'a str>,
    pub(crate) method: Option<&'a str>,
    pub(crate) params: Option<&'a str>,
    pub(crate) meta: Option<&'a str>,
    pub(crate) result: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
    /// The first member seen twice.
    pub(crate) duplicate: Option<&'static str>,
}

enum Member {
    Jsonrpc,
    Id,
    Method,
    Params,
    Meta,
    Result,
    Error,
    Other,
}

/// How nearly every frame begins: ours do, and so do those of most libraries.
const START: &str = r#"{"jsonrpc":"2.0","#;
/// Where in it the version stands.
const START_VERSION: std::ops::Range<usize> = 11..16;

impl<'a> Envelope<'a> {
    /// Reads the text of one object, and checks its nesting on the way. `None` if that is not
    /// certainly a sound envelope; then [`Envelope::deserialize`] has to say what it is.
    #[inline]
    pub(crate) fn scan(text: &'a str, limits: &Limits) -> Option<Self> {
        let levels = limits.max_depth.checked_sub(1)?;
        let mut scanner = Scanner::new(text);
        let mut envelope = Self::default();
        let has_members = if scanner.skip(START) {
            envelope.jsonrpc = text.get(START_VERSION);
            true
        } else {
            scanner.enter_object()?
        };
        if has_members {
            scanner.members(|scanner, name| {
                let value = scanner.value(levels)?;
                match envelope.slot(Member::of(name)) {
                    Some((slot, _)) => slot.replace(value).is_none().then_some(()),
                    None => Some(()),
                }
            })?;
        }
        scanner.end()?;
        Some(envelope)
    }

    #[inline]
    fn slot(&mut self, member: Member) -> Option<(&mut Option<&'a str>, &'static str)> {
        Some(match member {
            Member::Jsonrpc => (&mut self.jsonrpc, "jsonrpc"),
            Member::Id => (&mut self.id, "id"),
            Member::Method => (&mut self.method, "method"),
            Member::Params => (&mut self.params, "params"),
            Member::Meta => (&mut self.meta, "meta"),
            Member::Result => (&mut self.result, "result"),
            Member::Error => (&mut self.error, "error"),
            Member::Other => return None,
        })
    }
}

impl Member {
    #[inline]
    fn of(name: &str) -> Self {
        match name {
            "jsonrpc" => Self::Jsonrpc,
            "id" => Self::Id,
            "method" => Self::Method,
            "params" => Self::Params,
            "meta" => Self::Meta,
            "result" => Self::Result,
            "error" => Self::Error,
            _ => Self::Other,
        }
    }
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<'de>, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(member) = map.next_key::<Member>()? {
            let Some((slot, name)) = envelope.slot(member) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value: &RawValue = map.next_value()?;
            if slot.replace(value.get()).is_some() {
                envelope.duplicate.get_or_insert(name);
            }
        }
        Ok(envelope)
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(MemberVisitor)
    }
}

struct MemberVisitor;

impl Visitor<'_> for MemberVisitor {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Member, E> {
        Ok(Member::of(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::depth;

    /// Reads `text` in both ways. What `scan` takes must be what `serde_json` takes, member by
    /// member; what it leaves must be refused by `serde_json`, or be one of the odd cases.
    fn agree<'a>(text: &'a str, limits: &Limits) -> Option<Envelope<'a>> {
        let is_flat = !depth::exceeds(text.as_bytes(), limits.max_depth);
        let read = serde_json::from_str::<Envelope<'_>>(text).ok();
        let read = read.filter(|_| is_flat);
        let scanned = Envelope::scan(text, limits);
        if scanned.is_some() {
            assert_eq!(scanned, read, "{text}");
        } else if let Some(read) = read {
            let is_odd = read.duplicate.is_some()
                || text.contains('\\')
                || depth::exceeds(text.as_bytes(), 64);
            assert!(is_odd, "left to serde_json: {text}");
        }
        scanned
    }

    /// Frames that have `value` in every place where a value can be.
    fn around(value: &str) -> [String; 7] {
        [
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{value}}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":{value},"result":{value}}}"#),
            format!(r#"{{"jsonrpc":{value},"meta":[{value} ,{value}],"error":{{"a":{value}}}}}"#),
            format!("{{ \"method\"\t:\r\n {value} , \"params\" : [ {value} ] }} "),
            format!(r#"{{"other":{{"a":[{value},{{"b":{value}}}],"c":{value}}},"id":2}}"#),
            format!(r#"{{"jsonrpc":"2.0",{value}:1}}"#),
            value.to_owned(),
        ]
    }

    fn corpus() -> impl Iterator<Item = &'static str> {
        include_str!("../testdata/values.txt")
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("# "))
    }

    #[test]
    fn every_value_of_the_corpus_is_judged_as_serde_json_does() {
        let (mut sound, mut unsound) = (0, 0);
        for value in corpus() {
            let frame = &around(value)[0];
            let scanned = agree(frame, &Limits::default());
            let is_json = serde_json::from_str::<IgnoredAny>(value).is_ok();
            assert_eq!(scanned.is_some(), is_json, "{value}");
            assert_eq!(
                scanned.and_then(|envelope| envelope.params),
                is_json.then_some(value.trim())
            );
            for frame in around(value) {
                agree(&frame, &Limits::default());
            }
            if is_json {
                sound += 1;
            } else {
                unsound += 1;
            }
        }
        assert!(
            sound > 60 && unsound > 90,
            "{sound} and {unsound} were left"
        );
    }

    #[test]
    fn every_truncation_and_every_small_damage_is_judged_as_serde_json_does() {
        const DAMAGE: &[u8] = b"\"\\{}[]:,0-.eEu+nt/ \n\0\x1f\x7f";
        for value in corpus() {
            let frame = &around(value)[1];
            for end in 0..frame.len() {
                if let Some(start) = frame.get(..end) {
                    agree(start, &Limits::default());
                }
                for damage in DAMAGE {
                    let mut bytes = frame.clone().into_bytes();
                    bytes[end] = *damage;
                    if let Ok(damaged) = str::from_utf8(&bytes) {
                        agree(damaged, &Limits::default());
                    }
                }
            }
        }
    }

    #[test]
    fn control_characters_and_escapes_are_judged_as_serde_json_does() {
        for byte in 0..128u8 {
            for place in [0, 1, 7, 8, 15, 16, 30, 47, 48, 90] {
                for escape in ["", "\\", "\\\\", "\\u00", "\\u000"] {
                    let mut text = "x".repeat(95);
                    text.insert_str(place, &format!("{escape}{}", char::from(byte)));
                    let frame = &around(&format!("\"{text}\""))[1];
                    let scanned = agree(frame, &Limits::default());
                    let is_json = serde_json::from_str::<IgnoredAny>(frame).is_ok();
                    assert_eq!(scanned.is_some(), is_json, "{frame}");
                }
            }
        }
    }

    #[test]
    fn nesting_is_bounded_as_it_is_without_scanning() {
        for max_depth in [0, 1, 2, 63, 64, 65, 66, 128, 200] {
            let limits = Limits {
                max_depth,
                ..Limits::default()
            };
            for levels in [0, 1, 2, 61, 62, 63, 64, 65, 66, 127, 128, 199, 200, 5_000] {
                for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
                    let (open, close) = (open.repeat(levels), close.repeat(levels));
                    let frame = format!("{{\"params\":{open}1{close}}}");
                    let scanned = agree(&frame, &limits);
                    let nested = levels * if open.starts_with("[{") { 2 } else { 1 };
                    assert_eq!(scanned.is_some(), nested <= 64 && nested < max_depth);
                    agree(&format!("{{\"params\":{open}"), &limits);
                }
            }
        }
    }

    #[test]
    fn odd_spellings_are_left_to_serde_json() {
        for text in [
            r#"{"m\u0065thod":"m"}"#,
            r#"{"\ud800":1,"method":"m"}"#,
            r#"{"id":1,"method":"m","id":1}"#,
            r#"{"jsonrpc":"2.0","jsonrpc":"2.0"}"#,
            r#"[{"jsonrpc":"2.0"}]"#,
            r#"{"jsonrpc":"2.0",}"#,
            "",
        ] {
            assert_eq!(agree(text, &Limits::default()), None, "{text}");
        }
        for text in [
            "{}",
            " { } ",
            r#"{"a":"\ud800"}"#,
            r#"{"jsonrpc":"2.0","a":1}"#,
        ] {
            assert!(agree(text, &Limits::default()).is_some(), "{text}");
        }
    }

    /// JSON text with white space in it, nested up to four levels.
    fn json() -> impl Strategy<Value = String> {
        let string = prop_oneof![
            any::<String>().prop_map(|text| Value::from(text).to_string()),
            "[ -~é]{0,80}".prop_map(|text| Value::from(text).to_string()),
            Just(r#""\u00e9\ud83d\ude00\/""#.to_owned()),
        ];
        let space = || prop::sample::select(vec!["", "", "", " ", "\n", "\t\r "]);
        let leaf = prop_oneof![
            prop::sample::select(vec!["null", "true", "false", "-0", "1e+9", "0.0E-1"])
                .prop_map(str::to_owned),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<f64>()
                .prop_filter("JSON has no other numbers", |number| number.is_finite())
                .prop_map(|number| format!("{number:e}")),
            string.clone(),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            let entry = (space(), inner, space()).prop_map(|(a, text, b)| format!("{a}{text}{b}"));
            let member = (space(), string.clone(), space(), entry.clone())
                .prop_map(|(a, name, b, value)| format!("{a}{name}{b}:{value}"));
            prop_oneof![
                prop::collection::vec(entry, 0..5).prop_map(|all| format!("[{}]", all.join(","))),
                prop::collection::vec(member, 0..5)
                    .prop_map(|all| format!("{{{}}}", all.join(","))),
            ]
        })
    }

    /// An object whose members are JSON, mostly those that frames have.
    fn frame() -> impl Strategy<Value = String> {
        let names = vec![
            "jsonrpc", "id", "method", "params", "meta", "result", "error", "other", "",
        ];
        let member = (prop::sample::subsequence(names, 0..=9)).prop_flat_map(|names| {
            let values = prop::collection::vec(json(), names.len());
            values.prop_map(move |values| {
                let members: Vec<String> = names
                    .iter()
                    .zip(values)
                    .map(|(name, value)| format!("\"{name}\":{value}"))
                    .collect();
                members.join(",")
            })
        });
        (any::<bool>(), member).prop_map(|(starts, members)| match starts {
            true if !members.is_empty() => format!("{START}{members}}}"),
            _ => format!("{{{members}}}"),
        })
    }

    proptest! {
        #[test]
        fn what_is_json_is_scanned(text in frame()) {
            let scanned = agree(&text, &Limits::default());
            let read: Envelope<'_> = serde_json::from_str(&text).expect("JSON");
            prop_assert_eq!(scanned.is_some(), read.duplicate.is_none());
        }

        #[test]
        fn what_is_damaged_is_judged_as_serde_json_does(
            text in frame(),
            places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = text.clone().into_bytes();
            for (place, byte) in places {
                let place = place.index(bytes.len());
                bytes[place] = byte % 128;
            }
            if let Ok(damaged) = str::from_utf8(&bytes) {
                agree(damaged, &Limits::default());
            }
            if let Some(start) = text.get(..cut.index(text.len())) {
                prop_assert_eq!(agree(start, &Limits::default()), None);
            }
        }
    }
}
