//! Workers: typed methods, typed errors, and no call without an answer.

use crate::setup;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{Notify, Semaphore, mpsc};
use trunkline::{ErrorCode, RpcError};

#[tokio::test]
async fn it_registers_again_and_tells_the_calls_of_the_lost_connection() {
    let setup = setup().await;
    let (ran, mut running) = mpsc::unbounded_channel();
    let worker = setup.client.worker("w").concurrency(2).idempotent_method(
        "stay",
        move |(first,): (bool,), context| {
            let ran = ran.clone();
            async move {
                ran.send(context.attempt()).unwrap();
                if first && context.attempt() == 1 {
                    context.cancelled().await;
                }
                Ok(context.attempt())
            }
        },
    );
    let worker = worker.start().await.unwrap();
    let call = setup.direct.call::<u32>("stay", &(true,));
    let call = tokio::spawn(call.into_future());
    assert_eq!(running.recv().await, Some(1));
    setup.relay.cut();
    // The server gives the call to the next worker, which is this one again.
    assert_eq!(running.recv().await, Some(2));
    assert_eq!(call.await.unwrap().unwrap(), 2);
    assert_eq!(
        setup.direct.call::<u32>("stay", &(false,)).await.unwrap(),
        1
    );
    worker.drain().await.unwrap();
}

#[tokio::test]
async fn errors_panics_and_params_that_do_not_fit_are_answered() {
    let setup = setup().await;
    let worker = setup
        .client
        .worker("w")
        .concurrency(4)
        .method("fail", |(): (), _| async {
            Err::<(), _>(RpcError::new(7, "no").with_data([1, 2]))
        })
        .method("panic", |(): (), _| async {
            panic!("secret") as Result<(), _>
        })
        .method("who", |(): (), context| async move {
            assert!(context.deadline().is_some() && context.attempt() == 1);
            Ok((context.method().to_owned(), context.category().to_owned()))
        });
    let worker = worker.start().await.unwrap();
    let direct = &setup.direct;
    let error = direct.call::<()>("fail", &()).await.unwrap_err();
    assert_eq!(
        error.answer(),
        Some(&RpcError::new(7, "no").with_data([1, 2]))
    );
    let error = direct.call::<()>("panic", &()).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::Internal));
    assert!(!error.to_string().contains("secret"), "{error}");
    let error = direct.call::<()>("fail", &[1]).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::InvalidParams));
    let (method, category): (String, String) = direct.call("who", &()).await.unwrap();
    assert_eq!((&*method, &*category), ("who", "general"));
    assert_eq!(worker.running(), 0);
}

#[tokio::test]
async fn draining_answers_what_runs_and_takes_nothing_new() {
    let setup = setup().await;
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let worker = setup.client.worker("w").method("wait", {
        let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
        move |(): (), _| {
            let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
            async move {
                begun.notify_one();
                go.notified().await;
                Ok("done")
            }
        }
    });
    let worker = worker.start().await.unwrap();
    let call = tokio::spawn(setup.direct.call::<String>("wait", &()).into_future());
    begun.notified().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run_until(stopped));
    drop(stop);
    go.notify_one();
    worker.await.unwrap().unwrap();
    assert_eq!(call.await.unwrap().unwrap(), "done");
    setup.client.close().await.unwrap();
}

#[tokio::test]
async fn no_more_calls_run_at_once_than_were_said() {
    let setup = setup().await;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::new(Semaphore::new(0));
    let worker = setup.client.worker("w").concurrency(3).method("busy", {
        let (now, most, gate) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&gate));
        move |(): (), _| {
            let (now, most, gate) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&gate));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        }
    });
    let _worker = worker.start().await.unwrap();
    let mut calls = Vec::new();
    for _ in 0..12 {
        calls.push(setup.direct.call::<()>("busy", &()).start().await.unwrap());
    }
    gate.add_permits(12);
    for call in calls {
        call.await.unwrap();
    }
    assert!(most.load(Ordering::SeqCst) <= 3);
}

#[tokio::test]
async fn a_method_that_is_there_twice_is_refused() {
    let setup = setup().await;
    let twice = setup
        .client
        .worker("w")
        .method("m", |(): (), _| async { Ok(()) })
        .method("m", |(): (), _| async { Ok(()) });
    let error = twice.start().await.unwrap_err();
    assert!(
        error.to_string().contains("method m is there twice"),
        "{error}"
    );
}
