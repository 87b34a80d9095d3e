use super::Transport;
use crate::LinkError;
use crate::resp::{Decoder, Value, write_command};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longest answer to a login.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// How to log in.
pub(super) struct Login<'a> {
    pub(super) resp3: bool,
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a str>,
    pub(super) client_name: Option<&'a str>,
}

/// Says who we are, and waits for all answers, so that nothing on the connection is unanswered.
pub(super) async fn log_in(stream: &mut impl Transport, login: Login<'_>) -> Result<(), LinkError> {
    let mut out = BytesMut::new();
    let mut answers = 0;
    let mut say = |words: &[&[u8]]| {
        write_command(&mut out, words);
        answers += 1;
    };
    let user = login.user.unwrap_or("default").as_bytes();
    let password = login.password.map(str::as_bytes);
    match (login.resp3, password) {
        (true, Some(password)) => say(&[b"HELLO", b"3", b"AUTH", user, password]),
        (true, None) => say(&[b"HELLO", b"3"]),
        (false, Some(password)) if login.user.is_some() => say(&[b"AUTH", user, password]),
        // As servers before version 6 understand it.
        (false, Some(password)) => say(&[b"AUTH", password]),
        (false, None) => {}
    }
    if let Some(name) = login.client_name {
        say(&[b"CLIENT", b"SETNAME", name.as_bytes()]);
    }
    stream.write_all(&out).await?;
    stream.flush().await?;
    let mut decoder = Decoder::new(ANSWER_BYTES_MAX);
    let mut input = BytesMut::new();
    while answers > 0 {
        match decoder.decode(&mut input)? {
            Some(Value::Error(reason)) => return Err(LinkError::server(&reason)),
            Some(_) => answers -= 1,
            None => {
                if stream.read_buf(&mut input).await? == 0 {
                    return Err(LinkError::Closed);
                }
            }
        }
    }
    Ok(())
}
