//! Calls: typed, followed, cancelled, and never made twice without leave.

use crate::setup;
use futures_util::FutureExt;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use trunkline::{ErrorCode, RequestError, RpcError};

#[tokio::test]
async fn a_call_without_a_key_is_not_made_again_and_one_with_a_key_is() {
    let setup = setup().await;
    assert_eq!(setup.client.call::<i64>("sum", &[1, 2]).await.unwrap(), 3);
    setup.relay.hold();
    let plain = setup.client.call::<i64>("sum", &[1]).start().await.unwrap();
    let keyed = setup.client.call::<i64>("sum", &[2]).idempotency_key("k");
    let keyed = keyed.start().await.unwrap();
    // Behind them on the same connection: once this is stored, they were sent.
    let sent = setup.client.send("t", "x").await.unwrap();
    setup.until_published("t", 1).await;
    setup.relay.cut();
    let error = plain.await.unwrap_err();
    assert!(matches!(error, RequestError::Lost(_)), "{error}");
    assert_eq!(keyed.await.unwrap(), 2);
    sent.await.unwrap();
}

#[tokio::test]
async fn a_call_that_was_not_sent_waits_for_the_next_connection() {
    let setup = setup().await;
    let mut state = setup.client.state();
    setup.relay.close();
    state.wait_for(|state| !state.is_connected()).await.unwrap();
    let mut call = setup
        .client
        .call::<i64>("sum", &[4, 5])
        .start()
        .await
        .unwrap();
    assert!((&mut call).now_or_never().is_none());
    setup.relay.open();
    assert_eq!(call.await.unwrap(), 9);
}

#[tokio::test]
async fn params_that_json_rpc_does_not_take_are_told_at_once() {
    let setup = setup().await;
    let error = setup.client.call::<i64>("sum", &7).await.unwrap_err();
    assert!(error.to_string().contains("&[7]"), "{error}");
    let error = setup.client.call::<i64>("rpc.info", &()).await.unwrap_err();
    assert!(matches!(error, RequestError::Unsendable(_)), "{error}");
    let error = setup.client.call::<i64>("sum", &["a"]).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::InvalidParams), "{error}");
    let error = setup.client.call::<String>("sum", &[1]).await.unwrap_err();
    assert!(matches!(error, RequestError::Unreadable(_)), "{error}");
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_and_progress_is_heard() {
    let setup = setup().await;
    let cancelled = Arc::new(Notify::new());
    let told = Arc::clone(&cancelled);
    let worker = setup
        .client
        .worker("slow")
        .method("wait", move |(): (), context| {
            let told = Arc::clone(&told);
            async move {
                context.progress(&"begun");
                context.cancelled().await;
                told.notify_one();
                Err::<(), _>(RpcError::failed("cancelled"))
            }
        });
    let worker = worker.start().await.unwrap();
    let call = setup.direct.call::<()>("wait", &()).start().await.unwrap();
    let mut progress = call.progress::<String>();
    assert_eq!(progress.try_next().await.unwrap().as_deref(), Some("begun"));
    drop(call);
    cancelled.notified().await;
    assert_eq!(progress.try_next().await.unwrap(), None);
    assert!(setup.direct.state().borrow().is_connected());

    let call = setup.direct.call::<()>("wait", &()).start().await.unwrap();
    let mut progress = call.progress::<String>();
    progress.try_next().await.unwrap();
    call.cancel();
    let error = call.await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::Cancelled), "{error}");
    worker.drain().await.unwrap();
}

#[tokio::test]
async fn the_server_tells_that_the_time_is_up() {
    let setup = setup().await;
    let call = setup
        .client
        .worker("slow")
        .method("never", |(): (), _| async {
            std::future::pending::<Result<(), _>>().await
        });
    let worker = call.start().await.unwrap();
    let call = setup.direct.call::<()>("never", &());
    let error = call.timeout(Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::Timeout), "{error}");
    drop(worker);
}

#[tokio::test]
async fn a_call_that_was_given_up_before_it_was_sent_is_not_made_later() {
    let setup = setup().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let worker = setup.direct.worker("w").method("count", move |(): (), _| {
        let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
        async move { Ok(number) }
    });
    let worker = worker.start().await.unwrap();
    let mut state = setup.client.state();
    setup.relay.close();
    state.wait_for(|state| !state.is_connected()).await.unwrap();
    let given_up = setup
        .client
        .call::<usize>("count", &())
        .start()
        .await
        .unwrap();
    drop(given_up);
    assert_eq!(setup.client.in_flight(), 0);
    setup.relay.open();
    let made = setup.client.call::<usize>("count", &()).await.unwrap();
    assert_eq!(made, 1);
    worker.drain().await.unwrap();
}
