//! `GET /admin/v1/backup`: a consistent copy of the store, while it goes on.

use super::{archive::Archive, problem::problem_of, upgrade::Peer};
use crate::shared::{Phase, Shared};
use axum::{
    body::Body,
    extract::{Extension, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::spawn_blocking,
    time::timeout,
};
use trunkline_auth::{Action, Resource};
use trunkline_model::{Admin, Caller, Error, ErrorCode, Outcome, Protocol, oneshot};

/// Pieces that are read ahead of the client.
const AHEAD: usize = 2;
/// How long a client may take nothing: meanwhile the store keeps what the copy needs.
const STALL: Duration = Duration::from_secs(60);

/// Answers with a tar archive. One at a time; a server that drains cuts it off.
pub(crate) async fn backup(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
) -> Response {
    let caller = shared.caller(Protocol::Http, peer.address);
    match start(&shared, &caller).await {
        Ok((archive, permit)) => answer(shared, archive, permit),
        Err(error) => problem_of(&error),
    }
}

async fn start(shared: &Shared, caller: &Caller) -> Result<(Archive, OwnedSemaphorePermit), Error> {
    let services = &shared.services;
    services
        .access
        .check(caller, Action::Manage, Resource::Server)?;
    if shared.phase() != Phase::Serving {
        return Err(Error::shutting_down());
    }
    let permit = Arc::clone(&shared.backups).try_acquire_owned();
    let permit = permit.map_err(|_| {
        let text = "another backup is being read; try again when it is done";
        Error::new(ErrorCode::Overloaded, text).with("limit", 1)
    })?;
    let made_at = services.clock.now();
    let (completion, outcome) = oneshot();
    services.engine.admin(caller, Admin::Backup, completion);
    let Outcome::Snapshot(snapshot) = outcome.await? else {
        return Err(Error::internal());
    };
    let archive = Archive::new(snapshot, services.version, made_at);
    Ok((archive.map_err(|_| Error::internal())?, permit))
}

fn answer(shared: Arc<Shared>, archive: Archive, permit: OwnedSemaphorePermit) -> Response {
    let bytes = archive.bytes();
    let (pieces, sent) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        send(&shared, archive, &pieces).await;
        drop(permit);
    });
    let sent = stream::unfold(sent, async |mut sent| Some((sent.recv().await?, sent)));
    let headers = [
        (header::CONTENT_TYPE, "application/x-tar".to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"trunkline-backup.tar\"".to_owned(),
        ),
    ];
    (headers, Body::from_stream(sent)).into_response()
}

/// Reads the archive as fast as the client takes it. The disk is never waited for on a thread
/// that serves connections.
async fn send(shared: &Shared, mut archive: Archive, pieces: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let changed = shared.phase_changed.notified();
        if shared.phase() != Phase::Serving {
            return cut(pieces, "the server is shutting down");
        }
        let piece;
        (archive, piece) = match spawn_blocking(|| read(archive)).await {
            Ok((archive, Ok(Some(piece)))) => (archive, piece),
            Ok((_, Ok(None))) => return,
            Ok((_, Err(error))) => {
                tracing::warn!(%error, "a backup is cut off: the store can't be read");
                return cut(pieces, "the store can't be read");
            }
            Err(_) => return cut(pieces, "reading failed"),
        };
        tokio::select! {
            sent = timeout(STALL, pieces.send(Ok(piece))) => match sent {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => return cut(pieces, "the client takes nothing"),
            },
            () = changed => {}
        }
    }
}

fn read(mut archive: Archive) -> (Archive, io::Result<Option<Bytes>>) {
    let piece = archive.next();
    (archive, piece)
}

/// Ends the connection before the promised length, so that nobody takes this for the whole.
fn cut(pieces: &mpsc::Sender<io::Result<Bytes>>, why: &'static str) {
    // Without room the end alone cuts it, since it comes too early.
    let _ = pieces.try_send(Err(io::Error::other(why)));
}
