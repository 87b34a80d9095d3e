//! Channels: whoever listens now, at most once.

use super::case;
use crate::{lab::Lab, run::Case};
use trunkline_model::{ChannelName, ListenPolicy, Overrun, Pattern};

pub(super) const CASES: &[Case] = &[
    case!("who listens hears, in order", [], in_order),
    case!("nobody hears what was published before", [], only_now),
    case!("listening twice is listening once", [], idempotent),
    case!(
        "a pattern hears every matching channel",
        [PATTERNS],
        patterns
    ),
    case!(
        "a name and a pattern that match hear once each",
        [PATTERNS],
        both
    ),
    case!("a removed name is silent", [], removed),
    case!("a dropped handle is silent", [RECEIVER_COUNTS], dropped),
    case!(
        "receivers are counted",
        [RECEIVER_COUNTS, PATTERNS],
        counted
    ),
    case!("a slow listener loses the oldest and is told", [], slow),
    case!("a slow listener can be ended instead", [], overrun),
];

fn pattern(lab: &Lab, glob: &str) -> Pattern {
    let text = format!("{}{glob}", &*lab.channel(""));
    text.parse().expect("a valid pattern")
}

fn listener(lab: &Lab) -> crate::listener::Listener {
    lab.listen(ListenPolicy::default())
}

async fn in_order(lab: Lab) {
    let (a, b) = (lab.channel("a"), lab.channel("b"));
    let (one, two) = (listener(&lab), listener(&lab));
    one.handle.add(&[a.clone(), b.clone()], &[]);
    two.handle.add(std::slice::from_ref(&a), &[]);
    one.take(1).await;
    two.take(1).await;
    for n in 0..5 {
        lab.send(&a, &n.to_string()).await;
        lab.send(&b, &n.to_string()).await;
    }
    let expected =
        |channel: &ChannelName| (0..5).map(|n| format!("{channel} {n}")).collect::<Vec<_>>();
    assert_eq!(two.take(5).await, expected(&a));
    let heard = one.take(10).await;
    for channel in [&a, &b] {
        let of = format!("{channel} ");
        let mine: Vec<_> = heard
            .iter()
            .filter(|text| text.starts_with(&of))
            .cloned()
            .collect();
        assert_eq!(mine, expected(channel));
    }
}

async fn only_now(lab: Lab) {
    let channel = lab.channel("c");
    lab.send(&channel, "early").await;
    // To the nodes of a cluster messages are on their way for a while: a witness tells when they have arrived. It may hear
    // them itself.
    let witness = listener(&lab);
    witness.handle.add(std::slice::from_ref(&channel), &[]);
    let hears = async |text: String| while !witness.take(1).await.contains(&text) {};
    hears(format!("active {channel}")).await;
    lab.send(&channel, "before").await;
    hears(format!("{channel} before")).await;
    drop(witness);
    let listener = listener(&lab);
    listener.handle.add(std::slice::from_ref(&channel), &[]);
    assert_eq!(listener.take(1).await, [format!("active {channel}")]);
    lab.send(&channel, "now").await;
    assert_eq!(listener.take(1).await, [format!("{channel} now")]);
}

async fn idempotent(lab: Lab) {
    let (a, b) = (lab.channel("a"), lab.channel("b"));
    let listener = listener(&lab);
    listener.handle.add(std::slice::from_ref(&a), &[]);
    assert_eq!(listener.take(1).await, [format!("active {a}")]);
    listener.handle.add(&[a.clone(), b.clone(), b.clone()], &[]);
    assert_eq!(
        listener.take(1).await,
        [format!("active {b}")],
        "only what is new"
    );
    lab.send(&a, "1").await;
    lab.send(&a, "2").await;
    assert_eq!(listener.take(2).await, [format!("{a} 1"), format!("{a} 2")]);
}

async fn patterns(lab: Lab) {
    let listener = listener(&lab);
    let news = pattern(&lab, "news.?");
    listener.handle.add(&[], std::slice::from_ref(&news));
    assert_eq!(listener.take(1).await, [format!("active {news}")]);
    for label in ["news.1", "old.1", "news.2", "news.22"] {
        lab.send(&lab.channel(label), "x").await;
    }
    let heard = ["news.1", "news.2"].map(|label| format!("{} x via {news}", lab.channel(label)));
    assert_eq!(listener.take(2).await, heard);
    lab.settle().await;
    assert!(listener.rest().is_empty());
}

async fn both(lab: Lab) {
    let (channel, all) = (lab.channel("c"), pattern(&lab, "*"));
    let listener = listener(&lab);
    listener
        .handle
        .add(std::slice::from_ref(&channel), std::slice::from_ref(&all));
    // Engines may confirm name and pattern together or one by one.
    let mut active = listener.take(1).await.concat();
    while !(active.contains(&*channel) && active.contains(&*all)) {
        active += &listener.take(1).await.concat();
    }
    lab.send(&channel, "x").await;
    let mut heard = listener.take(2).await;
    heard.sort();
    assert_eq!(
        heard,
        [format!("{channel} x"), format!("{channel} x via {all}")]
    );
}

async fn removed(lab: Lab) {
    let (a, b) = (lab.channel("a"), lab.channel("b"));
    let listener = listener(&lab);
    listener.handle.add(&[a.clone(), b.clone()], &[]);
    listener.take(1).await;
    listener
        .handle
        .remove(&[a.clone(), lab.channel("unknown")], &[]);
    listener.handle.remove(std::slice::from_ref(&a), &[]);
    lab.settle().await;
    lab.send(&a, "1").await;
    lab.send(&b, "2").await;
    assert_eq!(listener.take(1).await, [format!("{b} 2")]);
}

async fn dropped(lab: Lab) {
    let channel = lab.channel("c");
    let listener = listener(&lab);
    listener.handle.add(std::slice::from_ref(&channel), &[]);
    listener.take(1).await;
    assert_eq!(lab.send(&channel, "1").await, Some(1));
    drop(listener);
    lab.settle().await;
    assert_eq!(lab.send(&channel, "2").await, Some(0));
}

async fn counted(lab: Lab) {
    let (channel, all) = (lab.channel("c"), pattern(&lab, "*"));
    assert_eq!(lab.send(&channel, "0").await, Some(0));
    let (one, two) = (listener(&lab), listener(&lab));
    one.handle.add(std::slice::from_ref(&channel), &[]);
    two.handle.add(&[], std::slice::from_ref(&all));
    one.take(1).await;
    two.take(1).await;
    assert_eq!(lab.send(&channel, "1").await, Some(2));
    assert_eq!(lab.send(&lab.channel("d"), "2").await, Some(1));
}

async fn fill(lab: &Lab, overrun: Overrun) -> Vec<String> {
    let channel = lab.channel("c");
    let room_for_two = 2 * (1 + channel.as_str().len() + 64);
    let listener = lab.listen(ListenPolicy {
        max_bytes: room_for_two,
        overrun,
    });
    listener.handle.add(std::slice::from_ref(&channel), &[]);
    listener.take(1).await;
    for n in 0..5 {
        lab.send(&channel, &n.to_string()).await;
    }
    lab.settle().await;
    listener.rest()
}

async fn slow(lab: Lab) {
    let channel = lab.channel("c");
    let expected = [
        "dropped 3".into(),
        format!("{channel} 3"),
        format!("{channel} 4"),
    ];
    assert_eq!(fill(&lab, Overrun::DropOldest).await, expected);
}

async fn overrun(lab: Lab) {
    assert_eq!(fill(&lab, Overrun::Disconnect).await, ["overrun"]);
}
