use super::script;

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            script::run(include_str!(concat!("../../testdata/", stringify!($name), ".txt"))).await;
        })*
    };
}

scenarios!(
    requests, topics, managing, consumers, channels, calls, workers
);
