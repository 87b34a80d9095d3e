use crate::{
    args::{Cli, CompletionsArgs},
    context::Context,
    failure::Failure,
};
use clap::{Command, CommandFactory};

pub(crate) fn completions(context: &Context, args: &CompletionsArgs) -> Result<(), Failure> {
    let mut command = shown(&Cli::command());
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    Ok(context.output.bytes(&script)?)
}

/// The program without its hidden commands: not every shell's script leaves them out by itself.
fn shown(whole: &Command) -> Command {
    let commands = whole.get_subcommands();
    Command::new(env!("CARGO_BIN_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .args(whole.get_arguments())
        .subcommands(commands.filter(|command| !command.is_hide_set()).cloned())
}
