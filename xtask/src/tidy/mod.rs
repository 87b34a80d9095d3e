//! `cargo xtask tidy`: the rules of this repository that a machine can check.

mod crates;
mod dag;
mod finding;
mod forbidden;
mod length;
mod links;
mod proofs;
mod scrub;
mod slug;
mod tree;

use std::process::ExitCode;

use crate::workspace::Workspace;
use tree::Tree;

/// Runs every check and prints what it found, one line each: where, what, and what to do.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let tree = Tree::read(&workspace.root)?;
    let mut findings = dag::check(workspace);
    findings.extend(crates::check(workspace));
    findings.extend(length::check(&tree));
    findings.extend(forbidden::check(&tree));
    findings.extend(links::check(&tree));
    findings.extend(proofs::check(&tree));
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!(
            "tidy: {} Rust and {} Markdown files are in order",
            tree.rust.len(),
            tree.markdown.len()
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!("tidy: {} to put in order", findings.len());
    Ok(ExitCode::FAILURE)
}
