use clap_complete::Shell;

const EXAMPLES: &str = "\
Install:
  bash         trunkline completions bash > ~/.local/share/bash-completion/completions/trunkline
  zsh          trunkline completions zsh > ~/.zfunc/_trunkline     (with ~/.zfunc in $fpath)
  fish         trunkline completions fish > ~/.config/fish/completions/trunkline.fish
  powershell   trunkline completions powershell >> $PROFILE
  elvish       trunkline completions elvish >> ~/.config/elvish/rc.elv";

/// Print a script that completes commands and options in a shell
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}
