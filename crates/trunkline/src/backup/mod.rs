//! Copies of a store: how they are fetched, checked, and put where they belong.

mod archive;
mod download;
mod landing;
mod watched;

pub(crate) use archive::{Contents, read_archive, read_directory};
pub(crate) use download::{Download, Pieces};
pub(crate) use landing::{Landing, write_file};
pub(crate) use watched::Watched;
