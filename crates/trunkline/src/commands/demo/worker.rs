use super::METHOD;
use crate::{context::Context, failure::Failure, signal::Stop};
use serde_json::json;
use trunkline::{Push, RpcError};
use trunkline_model::ErrorCode;

/// How many words a line has: what the worker answers and the caller expects.
pub(super) fn words(line: &str) -> usize {
    line.split_whitespace().count()
}

/// A worker in twenty lines: a JSON-RPC server at the other end of the same socket.
pub(crate) async fn demo_worker(context: &Context) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let (client, mut pushes) = context.connect().await?;
    let params = json!({"handler": "demo", "methods": [METHOD], "concurrency": 32});
    client.request("rpc.worker.register", &params).await?;
    loop {
        let push = tokio::select! {
            push = pushes.next() => push,
            () = stop.asked() => return Ok(()),
        };
        let Some(push) = push else { return Ok(()) };
        let Some(id) = &push.id else { continue };
        match answer(&push) {
            Ok(words) => {
                client
                    .answer(id.as_id(), words.to_string().as_bytes())
                    .await?
            }
            Err(error) => client.answer_error(id.as_id(), &error).await?,
        }
    }
}

fn answer(push: &Push) -> Result<usize, RpcError> {
    let [line] = push.read::<[String; 1]>().map_err(|error| RpcError {
        code: ErrorCode::InvalidParams.number().into(),
        message: error.to_string(),
        data: None,
    })?;
    Ok(words(&line))
}
