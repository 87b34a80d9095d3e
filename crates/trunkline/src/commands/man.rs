use crate::{
    args::{Cli, ManArgs},
    context::Context,
    failure::Failure,
    text,
};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::{fs, io, path::Path};

pub(crate) fn man(context: &Context, args: &ManArgs) -> Result<(), Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(dir) = &args.dir else {
        return Ok(context.output.bytes(&page(&command)?)?);
    };
    let failed = |error| Failure::failed(format!("can't write to {}: {error}", dir.display()));
    fs::create_dir_all(dir).map_err(failed)?;
    let pages = write(&command, dir).map_err(failed)?;
    eprintln!(
        "wrote {} to {}",
        text::counted(pages, "page"),
        dir.display()
    );
    Ok(())
}

/// Writes the pages of a command and of all below it; returns how many.
fn write(command: &Command, dir: &Path) -> io::Result<u64> {
    let mut pages = 1;
    for below in command.get_subcommands() {
        if !below.is_hide_set() {
            pages += write(below, dir)?;
        }
    }
    let path = dir.join(format!("{}.1", name(command)));
    fs::write(path, page(command)?)?;
    Ok(pages)
}

/// One page, in roff.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone()).title(name(command));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|below| !below.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend_from_slice(environment(command).as_bytes());
    page.extend_from_slice(notes(command).as_bytes());
    if command.get_version().is_some() {
        man.render_version_section(&mut page)?;
    }
    Ok(page)
}

fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

/// The variables that stand for options: their names, never what they hold.
fn environment(command: &Command) -> String {
    let mut section = String::new();
    for option in command.get_arguments() {
        if let (Some(variable), Some(long)) = (option.get_env(), option.get_long()) {
            let variable = escaped(&variable.to_string_lossy());
            let long = escaped(&format!("--{long}"));
            section += &format!(".TP\n\\fB{variable}\\fR\nStands for \\fB{long}\\fR.\n");
        }
    }
    match section.is_empty() {
        true => section,
        false => format!(".SH ENVIRONMENT\n{section}"),
    }
}

/// What follows the help, line by line: examples, mostly.
fn notes(command: &Command) -> String {
    let Some(text) = command.get_after_help() else {
        return String::new();
    };
    let text = text.to_string();
    let (title, text) = match text.strip_prefix("Examples:\n") {
        Some(examples) => ("EXAMPLES", examples),
        None => ("NOTES", text.as_str()),
    };
    let lines: String = text.lines().map(|line| escaped(line) + "\n").collect();
    format!(".SH {title}\n.nf\n{lines}.fi\n")
}

/// A text as roff takes it: as it stands, dashes for copying included.
fn escaped(line: &str) -> String {
    let text = line
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq")
        .replace('`', "\\(ga");
    match text.starts_with('.') {
        true => format!("\\&{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_a_command_of_roff() {
        for (line, roff) in [
            ("a b", "a b"),
            (".SH x", "\\&.SH x"),
            ("'x' --y", "\\(aqx\\(aq \\-\\-y"),
            ("a\\nb", "a\\enb"),
        ] {
            assert_eq!(escaped(line), roff);
        }
    }
}
