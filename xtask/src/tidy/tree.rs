//! The repository's own files, read once.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::scrub::scrub;

/// Folders that hold nothing of ours.
const FOREIGN: &[&str] = &["target", "node_modules", "vendor", "trunkline-data"];

/// All files that the checks look at.
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    pub(crate) rust: Vec<RustFile>,
    pub(crate) markdown: Vec<MarkdownFile>,
}

/// A Rust source.
pub(crate) struct RustFile {
    /// From the repository's folder on.
    pub(crate) path: PathBuf,
    /// The source with comments and the contents of literals blanked.
    pub(crate) code: String,
}

/// A Markdown text.
pub(crate) struct MarkdownFile {
    /// From the repository's folder on.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Tree {
    /// Reads the tree under `root`; hidden folders are left out.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self {
            root: root.to_owned(),
            rust: Vec::new(),
            markdown: Vec::new(),
        };
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            tree.read_folder(&folder, &mut folders)
                .with_context(|| format!("can't read {}", folder.display()))?;
        }
        tree.rust.sort_by(|a, b| a.path.cmp(&b.path));
        tree.markdown.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    fn read_folder(&mut self, folder: &Path, folders: &mut Vec<PathBuf>) -> anyhow::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') || FOREIGN.contains(&&*name) {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                self.read_file(&entry.path())?;
            }
        }
        Ok(())
    }

    fn read_file(&mut self, file: &Path) -> anyhow::Result<()> {
        let path = file.strip_prefix(&self.root)?.to_owned();
        let read = || fs::read_to_string(file).with_context(|| format!("{}", file.display()));
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => self.rust.push(RustFile {
                path,
                code: scrub(&read()?),
            }),
            Some("md") => self.markdown.push(MarkdownFile {
                path,
                text: read()?,
            }),
            _ => {}
        }
        Ok(())
    }
}
