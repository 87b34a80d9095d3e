//! As much of Redis' protocol as it takes to prepare servers.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing.
    Nil,
    /// A text or a status.
    Text(String),
    /// A number.
    Number(i64),
    /// Several.
    Many(Vec<Reply>),
}

impl Reply {
    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Reply::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The parts, if it has any.
    #[must_use]
    pub fn parts(&self) -> &[Reply] {
        match self {
            Reply::Many(parts) => parts,
            _ => &[],
        }
    }
}

/// Runs one command over a connection of its own.
///
/// # Errors
///
/// What went wrong, with the address and the command; also that the server refused it.
pub fn ask(address: SocketAddr, words: &[&str]) -> Result<Reply, String> {
    let replies = ask_all(address, &[words])?;
    Ok(replies.into_iter().next().unwrap_or(Reply::Nil))
}

/// Runs commands one after the other over a connection of their own, until one fails.
///
/// # Errors
///
/// What went wrong, with the address and the command; also that the server refused it.
pub fn ask_all(address: SocketAddr, commands: &[&[&str]]) -> Result<Vec<Reply>, String> {
    let connect = || {
        let stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(BufReader::new(stream))
    };
    let failed = |error: io::Error| format!("{address}: {error}");
    let mut stream = connect().map_err(failed)?;
    let run = |words: &&[&str]| {
        let exchange = exchange(&mut stream, words);
        let reply = exchange.unwrap_or_else(|error| Err(error.to_string()));
        reply.map_err(|error| format!("{address}: {words:?}: {error}"))
    };
    commands.iter().map(run).collect()
}

fn exchange(
    stream: &mut BufReader<TcpStream>,
    words: &[&str],
) -> io::Result<Result<Reply, String>> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.get_mut().write_all(command.as_bytes())?;
    read(stream)
}

/// A reply, or the text of an error that is one.
fn read(from: &mut impl BufRead) -> io::Result<Result<Reply, String>> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let line = line.trim_end();
    let bad = || io::Error::other(format!("{line:?} is no reply"));
    let (kind, rest) = line.split_at_checked(1).ok_or_else(bad)?;
    let number = || rest.parse::<i64>().map_err(|_| bad());
    let reply = match kind {
        "+" => Reply::Text(rest.to_owned()),
        "-" => return Ok(Err(rest.to_owned())),
        ":" => Reply::Number(number()?),
        "$" | "*" => match (kind, usize::try_from(number()?)) {
            (_, Err(_)) => Reply::Nil,
            ("$", Ok(length)) => {
                let mut bytes = vec![0; length + 2];
                from.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Reply::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
            (_, Ok(length)) => {
                let parts: io::Result<Result<Vec<_>, _>> =
                    (0..length).map(|_| read(from)).collect();
                return Ok(parts?.map(Reply::Many));
            }
        },
        _ => return Err(bad()),
    };
    Ok(Ok(reply))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read() {
        let mut input = &b"*4\r\n$2\r\nab\r\n:-7\r\n$-1\r\n*0\r\n-ERR no\r\n"[..];
        let text = Reply::Text("ab".to_owned());
        let many = vec![text, Reply::Number(-7), Reply::Nil, Reply::Many(Vec::new())];
        assert_eq!(read(&mut input).unwrap(), Ok(Reply::Many(many)));
        assert_eq!(read(&mut input).unwrap(), Err("ERR no".to_owned()));
        assert!(read(&mut input).is_err());
    }
}
