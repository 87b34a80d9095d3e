//! `GET /admin/v1/backup`, byte by byte.

use super::server::Server;
use std::io::Read;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use trunkline_engine_embedded::{EmbeddedConfig, Location};
use trunkline_gateway::BackupManifest;

const GET: &str = "GET /admin/v1/backup HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const PUBLISH: &str = r#"{"jsonrpc":"2.0","id":1,"method":"rpc.topic.publish","params":{"topic":"t","messages":[{"payload_text":"the one in the copy"}]}}"#;

/// A request for a backup whose answer is read by hand; its head.
async fn ask(server: &Server) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(GET.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap())
}

async fn on_disk(dir: &tempfile::TempDir) -> Server {
    let location = Location::Directory(dir.path().join("data"));
    Server::start_over(EmbeddedConfig::new(location), |_| {}).await
}

#[tokio::test]
async fn it_is_a_tar_archive_of_the_promised_length() {
    let dir = tempfile::tempdir().unwrap();
    let server = on_disk(&dir).await;
    assert_eq!(server.post(PUBLISH).await.0, 200);
    let (mut stream, head) = ask(&server).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(
        head.contains("content-type: application/x-tar\r\n"),
        "{head}"
    );
    let mut archive = Vec::new();
    stream.read_to_end(&mut archive).await.unwrap();
    let length = format!("content-length: {}\r\n", archive.len());
    assert!(head.contains(&length), "{head}");

    let mut archive = tar::Archive::new(&*archive);
    let mut entries = archive.entries().unwrap();
    let mut next = || {
        let mut entry = entries.next()?.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        Some((entry.path().unwrap().display().to_string(), content))
    };
    let (name, manifest) = next().unwrap();
    assert_eq!(name, BackupManifest::FILE);
    let manifest: BackupManifest = serde_json::from_slice(&manifest).unwrap();
    let (name, segment) = next().unwrap();
    assert_eq!((&name, segment.len() as u64), {
        let file = &manifest.files[0];
        (&file.name, file.bytes)
    });
    let payload = b"the one in the copy";
    assert!(segment.windows(payload.len()).any(|part| part == payload));
    assert!(next().is_none());
}

#[tokio::test]
async fn one_is_read_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let server = on_disk(&dir).await;
    let (first, head) = ask(&server).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let (_, head) = ask(&server).await;
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
    // Who goes away lets go of it.
    drop(first);
    while ask(&server).await.1.starts_with("HTTP/1.1 429 ") {}
    assert!(ask(&server).await.1.starts_with("HTTP/1.1 "));
}

#[tokio::test]
async fn what_can_not_be_copied_is_a_problem() {
    let server = Server::start().await;
    for (line, headers, status, says) in [
        ("GET", &[][..], "501", r#""code":-32010"#),
        ("POST", &[], "405", "only GET"),
        ("GET", &["Host: evil.example"], "403", "evil.example"),
        ("GET", &["Origin: https://evil.example"], "403", "origin"),
    ] {
        let answer = server
            .http(&format!("{line} /admin/v1/backup"), headers, "")
            .await;
        assert_eq!(&answer[9..12], status, "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
        assert!(answer.contains(says), "{says}: {answer}");
    }
}

#[tokio::test]
async fn a_server_that_drains_cuts_it_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = on_disk(&dir).await;
    let (mut stream, head) = ask(&server).await;
    server.stop();
    let mut archive = Vec::new();
    // Cut off with or without a word.
    let _ = stream.read_to_end(&mut archive).await;
    let length = format!("content-length: {}\r\n", archive.len());
    assert!(!head.contains(&length), "{head}");
    server.stopped().await;
}
