//! The lines in which calls wait, where they don't travel over an engine.

use crate::world::World;

#[tokio::test]
async fn a_worker_takes_the_oldest_call_of_all_its_methods() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("math", &["add", "sub"], 1));
    client.call("add", "0");
    let busy = worker.take_one();
    for (method, params) in [("sub", "1"), ("add", "2"), ("add", "3"), ("sub", "4")] {
        client.call(method, params);
    }
    worker.answer(&busy, "0");
    for params in ["1", "2", "3", "4"] {
        let call = worker.take_one();
        assert_eq!(call.params.as_deref(), Some(params.as_bytes()));
        worker.answer(&call, "0");
    }
    assert_eq!(client.heard().len(), 5);
}

#[tokio::test]
async fn workers_with_free_slots_take_turns() {
    let world = World::new();
    let client = world.client();
    let workers = [1, 2, 3].map(|_| world.worker("math", &["add"], 10));
    for n in 0..9 {
        client.call("add", &n.to_string());
    }
    for worker in &workers {
        assert_eq!(worker.take().len(), 3);
    }
}

/// Calls that are given up while they wait leave nothing in their line, and what is behind them
/// keeps its order.
#[tokio::test]
async fn a_line_from_which_most_calls_go_keeps_its_order() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("math", &["add"], 1));
    client.call("add", "0");
    let busy = worker.take_one();
    let ids: Vec<_> = (1..=1_000)
        .map(|n: u32| (n, client.call("add", &n.to_string()).unwrap()))
        .collect();
    for (n, id) in &ids {
        if n % 100 != 0 {
            assert!(world.calls.cancel(*id));
        }
    }
    assert_eq!(client.heard().len(), 990);
    let mut running = busy;
    for n in 1..=10 {
        worker.answer(&running, "0");
        running = worker.take_one();
        let expected = (n * 100).to_string();
        assert_eq!(running.params.as_deref(), Some(expected.as_bytes()));
    }
    worker.answer(&running, "0");
    assert!(worker.take().is_empty());
    assert_eq!((client.heard().len(), world.calls.outstanding()), (11, 0));
}
