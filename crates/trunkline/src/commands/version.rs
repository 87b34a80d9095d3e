use crate::{context::Context, failure::Failure};
use serde_json::json;

pub(crate) fn version(context: &Context) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if context.output.json {
        context
            .output
            .object(&json!({"version": version, "protocol": 1}))?;
    } else {
        context
            .output
            .line(&format!("trunkline {version} (protocol 1)"))?;
    }
    Ok(())
}
