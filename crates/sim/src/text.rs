//! The mini-language: how a history is printed and read, one operation a line.

use crate::op::{Back, Consume, Mask, Op, Publish};
use serde_json::{Map, Value};
use std::{fmt, str::FromStr};
use trunkline_model::TopicSettings;

/// A line that is no operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an operation; see docs/simulation.md for the words")]
pub struct ReadError(String);

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Topic(topic, settings) => {
                write!(f, "topic t{topic}")?;
                write_settings(f, settings)
            }
            Op::Grave(grave) => write!(f, "grave d{grave}"),
            Op::Redrive(count, Back::Source) => write!(f, "redrive {count}"),
            Op::Redrive(count, Back::Topic(topic)) => write!(f, "redrive {count} to=t{topic}"),
            Op::Redrive(count, Back::Pit) => write!(f, "redrive {count} to=d1"),
            Op::LookAtGrave(grave) => write!(f, "look d{grave}"),
            Op::Alter(topic, settings) => {
                write!(f, "alter t{topic}")?;
                write_settings(f, settings)
            }
            Op::Delete(topic) => write!(f, "delete t{topic}"),
            Op::Subscribe(topic, sub, from) => {
                write!(f, "subscribe t{topic}/s{sub}")?;
                match from {
                    Some(true) => f.write_str(" from=all"),
                    Some(false) => f.write_str(" from=new"),
                    None => Ok(()),
                }
            }
            Op::Unsubscribe(topic, sub) => write!(f, "unsubscribe t{topic}/s{sub}"),
            Op::Purge(topic, None) => write!(f, "purge t{topic}"),
            Op::Purge(topic, Some(sub)) => write!(f, "purge t{topic}/s{sub}"),
            Op::Publish(topic, publish) => {
                write!(f, "publish t{topic}")?;
                write_publish(f, publish)
            }
            Op::Batch(slot, mask, topic, publish) => {
                write!(f, "batch c{slot} {mask} t{topic}")?;
                write_publish(f, publish)
            }
            Op::Consume(slot, sources, consume) => {
                write!(f, "consume c{slot}")?;
                for (topic, sub) in sources {
                    write!(f, " t{topic}/s{sub}")?;
                }
                write!(f, " credit={}", consume.credit)?;
                write_option(f, "window", consume.window)?;
                f.write_str(if consume.auto { " auto" } else { "" })
            }
            Op::Cancel(slot) => write!(f, "cancel c{slot}"),
            Op::Credit(slot, credit) => write!(f, "credit c{slot} {credit}"),
            Op::Ack(slot, mask, quiet) => {
                let quiet = if *quiet { " quiet" } else { "" };
                write!(f, "ack c{slot} {mask}{quiet}")
            }
            Op::Return(slot, mask, 0) => write!(f, "return c{slot} {mask}"),
            Op::Return(slot, mask, delay) => write!(f, "return c{slot} {mask} delay={delay}"),
            Op::Reject(slot, mask) => write!(f, "reject c{slot} {mask}"),
            Op::Extend(slot, mask, by) => write!(f, "extend c{slot} {mask} by={by}"),
            Op::Late(slot) => write!(f, "late c{slot}"),
            Op::Step => f.write_str("step"),
            Op::Settle => f.write_str("settle"),
            Op::Wait { ms, tick: true } => write!(f, "wait {ms}"),
            Op::Wait { ms, tick: false } => write!(f, "wait {ms} unnoticed"),
            Op::Jump(ms) => write!(f, "jump {ms}"),
            Op::Look(topic, sub) => write!(f, "look t{topic}/s{sub}"),
            Op::Backup => f.write_str("backup"),
            Op::Power(after, seed) => write!(f, "power after={after} seed={seed}"),
            Op::Kill => f.write_str("kill"),
            Op::Stop => f.write_str("stop"),
            Op::FailWrite(after) => write!(f, "fail write after={after}"),
            Op::FailSync(after) => write!(f, "fail sync after={after}"),
            Op::FailRead(after) => write!(f, "fail read after={after}"),
            Op::Full(kib) => write!(f, "full left={kib}"),
            Op::Space => f.write_str("space"),
            Op::Flip(seed) => write!(f, "flip seed={seed}"),
        }
    }
}

fn write_publish(f: &mut fmt::Formatter<'_>, publish: &Publish) -> fmt::Result {
    write!(f, " {}x{}", publish.count, publish.bytes)?;
    write_option(f, "priority", publish.priority)?;
    write_option(f, "key", publish.key)?;
    write_option(f, "group", publish.group)?;
    write_option(f, "ttl", publish.ttl)?;
    write_option(f, "delay", publish.delay)?;
    write_option(f, "id", publish.id)
}

fn write_option(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    value: Option<impl fmt::Display>,
) -> fmt::Result {
    match value {
        Some(value) => write!(f, " {name}={value}"),
        None => Ok(()),
    }
}

/// The options by the names that clients use.
fn write_settings(f: &mut fmt::Formatter<'_>, settings: &TopicSettings) -> fmt::Result {
    let value = serde_json::to_value(settings).map_err(|_| fmt::Error)?;
    for (name, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::String(text) => write!(f, " {name}={text}")?,
            other => write!(f, " {name}={other}")?,
        }
    }
    Ok(())
}

impl FromStr for Op {
    type Err = ReadError;

    fn from_str(line: &str) -> Result<Self, ReadError> {
        let mut words = Words::of(line);
        let op = read(&mut words).filter(|_| words.is_spent());
        op.ok_or_else(|| ReadError(line.to_owned()))
    }
}

/// Reads a history: one operation a line; empty lines and what follows a `#` don't count.
///
/// # Errors
/// [`ReadError`] with the first line that is no operation.
pub fn read_history(text: &str) -> Result<Vec<Op>, ReadError> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    lines
        .filter(|line| !line.is_empty())
        .map(str::parse)
        .collect()
}

fn read(words: &mut Words<'_>) -> Option<Op> {
    Some(match words.next()? {
        "topic" => Op::Topic(words.topic()?, Box::new(words.settings()?)),
        "alter" => Op::Alter(words.topic()?, Box::new(words.settings()?)),
        "delete" => Op::Delete(words.topic()?),
        "subscribe" => {
            let (topic, sub) = words.source()?;
            let from = match words.named("from") {
                None => None,
                Some("all") => Some(true),
                Some("new") => Some(false),
                Some(_) => return None,
            };
            Op::Subscribe(topic, sub, from)
        }
        "unsubscribe" => {
            let (topic, sub) = words.source()?;
            Op::Unsubscribe(topic, sub)
        }
        "purge" => match words.next()?.split_once('/') {
            Some((topic, sub)) => Op::Purge(number(topic, 't')?, Some(number(sub, 's')?)),
            None => Op::Purge(number(words.last, 't')?, None),
        },
        "publish" => {
            let topic = words.topic()?;
            Op::Publish(topic, words.publish()?)
        }
        "batch" => {
            let (slot, mask, topic) = (words.slot()?, words.mask()?, words.topic()?);
            Op::Batch(slot, mask, topic, words.publish()?)
        }
        "consume" => {
            let slot = words.slot()?;
            let mut sources = vec![words.source()?];
            while words.peek().is_some_and(|word| word.contains('/')) {
                sources.push(words.source()?);
            }
            let consume = Consume {
                credit: words.value("credit")?,
                window: words.option("window")?,
                auto: words.flag("auto"),
            };
            Op::Consume(slot, sources, consume)
        }
        "cancel" => Op::Cancel(words.slot()?),
        "credit" => Op::Credit(words.slot()?, words.next()?.parse().ok()?),
        "ack" => Op::Ack(words.slot()?, words.mask()?, words.flag("quiet")),
        "return" => {
            let (slot, mask) = (words.slot()?, words.mask()?);
            Op::Return(slot, mask, words.option("delay")?.unwrap_or_default())
        }
        "reject" => Op::Reject(words.slot()?, words.mask()?),
        "extend" => Op::Extend(words.slot()?, words.mask()?, words.value("by")?),
        "late" => Op::Late(words.slot()?),
        "step" => Op::Step,
        "settle" => Op::Settle,
        "wait" => Op::Wait {
            ms: words.next()?.parse().ok()?,
            tick: !words.flag("unnoticed"),
        },
        "jump" => Op::Jump(words.next()?.parse().ok()?),
        "redrive" => {
            let count = words.next()?.parse().ok()?;
            let back = match words.named("to") {
                None => Back::Source,
                Some("d1") => Back::Pit,
                Some(topic) => Back::Topic(number(topic, 't')?),
            };
            Op::Redrive(count, back)
        }
        "grave" => Op::Grave(number(words.next()?, 'd')?),
        "look" if words.peek()?.starts_with('d') => Op::LookAtGrave(number(words.next()?, 'd')?),
        "look" => {
            let (topic, sub) = words.source()?;
            Op::Look(topic, sub)
        }
        "backup" => Op::Backup,
        "power" => Op::Power(words.value("after")?, words.value("seed")?),
        "kill" => Op::Kill,
        "stop" => Op::Stop,
        "fail" => match words.next()? {
            "write" => Op::FailWrite(words.value("after")?),
            "sync" => Op::FailSync(words.value("after")?),
            "read" => Op::FailRead(words.value("after")?),
            _ => return None,
        },
        "full" => Op::Full(words.value("left")?),
        "space" => Op::Space,
        "flip" => Op::Flip(words.value("seed")?),
        _ => return None,
    })
}

/// A number behind its letter.
fn number(word: &str, letter: char) -> Option<u8> {
    word.strip_prefix(letter)?.parse().ok()
}

struct Words<'a> {
    words: Vec<&'a str>,
    at: usize,
    last: &'a str,
}

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Self {
        Self {
            words: line.split_whitespace().collect(),
            at: 0,
            last: "",
        }
    }

    fn is_spent(&self) -> bool {
        self.at == self.words.len()
    }

    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'a str> {
        self.last = self.peek()?;
        self.at += 1;
        Some(self.last)
    }

    fn topic(&mut self) -> Option<u8> {
        number(self.next()?, 't')
    }

    fn slot(&mut self) -> Option<u8> {
        number(self.next()?, 'c')
    }

    fn source(&mut self) -> Option<(u8, u8)> {
        let (topic, sub) = self.next()?.split_once('/')?;
        Some((number(topic, 't')?, number(sub, 's')?))
    }

    fn mask(&mut self) -> Option<Mask> {
        self.next()?.parse().ok()
    }

    fn publish(&mut self) -> Option<Publish> {
        let (count, bytes) = self.next()?.split_once('x')?;
        Some(Publish {
            count: count.parse().ok()?,
            bytes: bytes.parse().ok()?,
            priority: self.option("priority")?,
            key: self.option("key")?,
            group: self.option("group")?,
            ttl: self.option("ttl")?,
            delay: self.option("delay")?,
            id: self.option("id")?,
        })
    }

    fn flag(&mut self, name: &str) -> bool {
        let is_next = self.peek() == Some(name);
        self.at += usize::from(is_next);
        is_next
    }

    /// The value of `name=value`, if that is next.
    fn named(&mut self, name: &str) -> Option<&'a str> {
        let value = self.peek()?.strip_prefix(name)?.strip_prefix('=')?;
        self.at += 1;
        Some(value)
    }

    fn value<T: FromStr>(&mut self, name: &str) -> Option<T> {
        self.named(name)?.parse().ok()
    }

    /// `Some(None)` if it isn't there, `None` if it is wrong.
    fn option<T: FromStr>(&mut self, name: &str) -> Option<Option<T>> {
        match self.named(name) {
            None => Some(None),
            Some(value) => value.parse().ok().map(Some),
        }
    }

    fn settings(&mut self) -> Option<TopicSettings> {
        let mut options = Map::new();
        while let Some(word) = self.next() {
            let (name, value) = word.split_once('=')?;
            // Numbers and objects are JSON; everything else is a text.
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            options.insert(name.to_owned(), value);
        }
        serde_json::from_value(Value::Object(options)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_reads_as_it_prints() {
        let lines = [
            "topic t0",
            "topic t1 ack_timeout=2s dedupe=latest max_messages=40 priorities=3",
            "topic t1 retry={\"max\":\"2s\",\"min\":\"1s\"}",
            "alter t1 ttl=1s",
            "topic t1 dead_letter=d0 dead_letter_expired=true max_attempts=3",
            "grave d0",
            "look d0",
            "redrive 2",
            "redrive 2 to=t1",
            "redrive 2 to=d1",
            "delete t3",
            "subscribe t0/s1",
            "subscribe t0/s1 from=all",
            "subscribe t0/s1 from=new",
            "unsubscribe t0/s1",
            "purge t0",
            "purge t0/s2",
            "publish t0 2x300",
            "publish t0 1x0 priority=2 key=3 group=1 ttl=900 delay=30 id=7",
            "batch c1 10 t0 2x300 key=3",
            "consume c1 t0/s1 credit=4",
            "consume c1 t0/s1 t1/s0 credit=4 window=9000 auto",
            "cancel c1",
            "credit c1 0",
            "ack c1 1",
            "ack c1 0110 quiet",
            "return c1 10",
            "return c1 10 delay=250",
            "reject c1 001",
            "extend c1 1 by=500",
            "late c1",
            "step",
            "settle",
            "wait 250",
            "wait 250 unnoticed",
            "jump -60000",
            "look t0/s1",
            "backup",
            "power after=3 seed=17",
            "kill",
            "stop",
            "fail write after=2",
            "fail sync after=0",
            "fail read after=1",
            "full left=64",
            "space",
            "flip seed=9",
        ];
        for line in lines {
            let op: Op = line.parse().unwrap();
            assert_eq!(op.to_string(), line);
        }
        let history = read_history("step # once\n\n# nothing\n  settle\n").unwrap();
        assert_eq!(history, [Op::Step, Op::Settle]);
    }

    #[test]
    fn what_is_no_operation_is_named() {
        for line in [
            "jump",
            "ack c1",
            "ack c1 2",
            "publish t0 3",
            "step 4",
            "topic t0 size=3",
            "fly",
            "consume c1 credit=1",
            "wait soon",
            "fail disk after=1",
        ] {
            let error = line.parse::<Op>().unwrap_err();
            assert!(error.to_string().contains(line), "{error}");
        }
    }

    #[test]
    fn a_mask_repeats() {
        let mask: Mask = "100".parse().unwrap();
        let taken: Vec<usize> = (0..7).filter(|index| mask.takes(*index)).collect();
        assert_eq!(taken, [0, 3, 6]);
        assert!((0..9).all(|index| Mask::all().takes(index)));
    }
}
