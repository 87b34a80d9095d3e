//! Stop and restart.

use crate::setup::{next, setup, some, soon, until};
use trunkline_mpx::{Error, QueueOptions};

#[tokio::test]
async fn case_14_stop_hands_out_what_was_read_and_restart_begins_anew() {
    let Some(mut on) = setup().await else { return };
    // Full, so that what is read waits when the multiplexer stops.
    let options = QueueOptions {
        events_max: 1,
        ..QueueOptions::default()
    };
    let (subscription, mut events) = on.mpx.channels_stream(options);
    subscription.add(["c"]).unwrap();
    assert_eq!(next(&mut events).await, "active:c");
    for n in 0..5 {
        on.publish(b"c", n.to_string().as_bytes()).await;
    }
    until("messages", async || on.mpx.counters().messages > 0).await;
    soon(on.mpx.stop()).await.unwrap();
    assert_eq!(on.mpx.stop().await, Err(Error::AlreadyStopped));
    until("the end", async || on.numsub("c").await == 0).await;
    let read = on.mpx.counters().messages;
    for n in 0..read {
        assert_eq!(next(&mut events).await, format!("c={n}"));
    }

    subscription.add(["d"]).unwrap();
    on.mpx.restart().unwrap();
    assert_eq!(on.mpx.restart(), Err(Error::NotStopped));
    assert_eq!(some(&mut events, 2).await, ["active:c", "active:d"]);
    assert_eq!(on.mpx.counters().losses, 0);
    on.publish(b"d", b"x").await;
    assert_eq!(next(&mut events).await, "d=x");
}

#[tokio::test]
async fn the_connection_ends_with_the_last_handle() {
    let Some(mut on) = setup().await else { return };
    let mpx = trunkline_mpx::Multiplexer::open(on.server.url()).unwrap();
    let (subscription, mut events) = mpx.channels_stream(QueueOptions::default());
    drop(mpx);
    subscription.add(["c"]).unwrap();
    assert_eq!(next(&mut events).await, "active:c");
    drop((subscription, events));
    until("the end", async || on.numsub("c").await == 0).await;
}
