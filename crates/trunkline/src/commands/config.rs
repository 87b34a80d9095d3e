use crate::{
    args::{ConfigCommand, ConfigFormat},
    context::Context,
    failure::Failure,
};
use serde_json::{Value, json};
use std::path::Path;
use trunkline::{Config, DEFAULT_YAML, load};

pub(crate) fn config(context: &Context, command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check { file } => check(context, file.as_deref()),
        ConfigCommand::Default { format } => print_default(context, format),
    }
}

/// The configuration of a file and the environment.
pub(super) fn read(file: Option<&Path>) -> Result<Config, Failure> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(load(file, variables)?)
}

fn check(context: &Context, file: Option<&Path>) -> Result<(), Failure> {
    let config = read(file)?;
    let name = file.map_or("the environment".into(), |file| file.display().to_string());
    config
        .check()
        .map_err(|error| Failure::from(error).while_doing(&name))?;
    if context.output.json {
        context.output.object(&json!({"file": file, "ok": true}))?;
    } else {
        context.output.line(&format!("{name}: fine"))?;
    }
    Ok(())
}

fn print_default(context: &Context, format: ConfigFormat) -> Result<(), Failure> {
    let tree = || -> Result<Value, Failure> {
        serde_saphyr::from_str(DEFAULT_YAML).map_err(|error| Failure::failed(error.to_string()))
    };
    match format {
        _ if context.output.json => context.output.object(&tree()?)?,
        ConfigFormat::Yaml => context.output.bytes(DEFAULT_YAML.as_bytes())?,
        ConfigFormat::Toml => {
            let text =
                toml::to_string(&tree()?).map_err(|error| Failure::failed(error.to_string()))?;
            context.output.bytes(text.as_bytes())?;
        }
    }
    Ok(())
}
