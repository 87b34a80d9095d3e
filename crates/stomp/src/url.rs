//! Servers in one line: `stomp://me:secret@a:61613,b:61613/vhost?wait_for_nodes=1`.

use crate::NodeSettings;
use crate::excerpt::excerpt;
use std::fmt;
use std::str::FromStr;

/// Port of servers without TLS, if none is named.
const PORT: u16 = 61613;
/// Port of servers with TLS, if none is named.
const TLS_PORT: u16 = 61614;

/// Most servers in a URL.
const NODES_MAX: usize = 1_000;

/// A URL of one server or several:
/// `stomp[+ssl]://[LOGIN[:PASSCODE]@]HOST[:PORT][,…][/VHOST][?OPTION=VALUE[&…]]`.
///
/// What stands before the first `@` is for all servers, unless one has its own. Ports are 61613, and
/// 61614 with TLS. IPv6 addresses are in brackets. In logins, passcodes, virtual hosts and options
/// `%` and two hexadecimal digits are a byte, which is how `@`, `:`, `,`, `/` and `?` are written.
#[derive(Clone, PartialEq, Eq)]
pub struct StompUrl {
    /// `stomp+ssl`.
    pub tls: bool,
    /// The servers in their order, each with its login; at least one, at most 1,000.
    pub nodes: Vec<NodeSettings>,
    /// What follows `?`, in its order; whoever makes a client knows what it means.
    pub options: Vec<(String, String)>,
}

/// A text is not a [`StompUrl`]. No part of it is shown that may be a passcode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StompUrlError {
    /// It begins with something else.
    #[error("a STOMP URL begins with stomp:// or stomp+ssl://")]
    Scheme,
    /// There is no host where one should be.
    #[error(
        "server {0} of the URL has no host; write HOST or HOST:PORT, with commas between servers"
    )]
    Host(usize),
    /// A port is not a number from 1 to 65535.
    #[error("the port of server {0} of the URL is not a number from 1 to 65535")]
    Port(usize),
    /// There are too many.
    #[error("the URL names more than 1000 servers")]
    Nodes,
    /// `%` is not followed by two digits, or the bytes are no UTF-8.
    #[error("the {0} in the URL can't be read: % is to be followed by two hexadecimal digits")]
    Escape(&'static str),
    /// An option has no value.
    #[error("option {0} of the URL has no value; write OPTION=VALUE")]
    Option(String),
}

impl FromStr for StompUrl {
    type Err = StompUrlError;

    fn from_str(text: &str) -> Result<Self, StompUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(StompUrlError::Scheme)?;
        let tls = match scheme {
            "stomp" => false,
            "stomp+ssl" => true,
            _ => return Err(StompUrlError::Scheme),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (servers, virtual_host) = rest.split_once('/').unwrap_or((rest, ""));
        let virtual_host = match virtual_host {
            "" => None,
            name => Some(decode(name, "virtual host")?),
        };
        let mut nodes: Vec<NodeSettings> = Vec::new();
        for (number, server) in servers.split(',').enumerate() {
            if number >= NODES_MAX {
                return Err(StompUrlError::Nodes);
            }
            let mut node = node(number + 1, server, tls)?;
            node.virtual_host.clone_from(&virtual_host);
            if let (None, Some(first)) = (&node.login, nodes.first()) {
                node.login.clone_from(&first.login);
                node.passcode.clone_from(&first.passcode);
            }
            nodes.push(node);
        }
        let options = query.split('&').filter(|option| !option.is_empty());
        let options = options.map(|option| {
            let named = option.split_once('=');
            let (name, value) = named.ok_or_else(|| StompUrlError::Option(excerpt(option)))?;
            Ok((decode(name, "option")?, decode(value, "option")?))
        });
        Ok(Self {
            tls,
            nodes,
            options: options.collect::<Result<_, StompUrlError>>()?,
        })
    }
}

fn node(number: usize, text: &str, tls: bool) -> Result<NodeSettings, StompUrlError> {
    let (login, address) = match text.rsplit_once('@') {
        Some((login, address)) => (Some(login), address),
        None => (None, text),
    };
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(StompUrlError::Host(number))?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':').ok_or(StompUrlError::Port(number))?),
            };
            (host, port)
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    if host.is_empty() {
        return Err(StompUrlError::Host(number));
    }
    let port = match port {
        None if tls => TLS_PORT,
        None => PORT,
        Some(port) => {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|port| digits && *port > 0);
            port.ok_or(StompUrlError::Port(number))?
        }
    };
    let mut node = NodeSettings::new(host, port);
    if let Some(login) = login {
        let (login, passcode) = match login.split_once(':') {
            Some((login, passcode)) => (login, Some(passcode)),
            None => (login, None),
        };
        node.login = Some(decode(login, "login")?);
        let passcode = passcode.map(|text| decode(text, "passcode"));
        node.passcode = passcode.transpose()?;
    }
    Ok(node)
}

fn decode(text: &str, what: &'static str) -> Result<String, StompUrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|it| char::from(it).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(StompUrlError::Escape(what));
        };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
    }
    String::from_utf8(bytes).map_err(|_| StompUrlError::Escape(what))
}

/// Only where to: neither login nor passcode, nor options.
impl fmt::Display for StompUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "stomp+ssl://" } else { "stomp://" })?;
        for (number, node) in self.nodes.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            write!(f, "{comma}{}", node.peer())?;
        }
        Ok(())
    }
}

/// As it is shown to people.
impl fmt::Debug for StompUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StompUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes and options in short.
    fn read(text: &str) -> String {
        let url: StompUrl = match text.parse() {
            Ok(url) => url,
            Err(error) => return format!("{error:?}"),
        };
        let node = |node: &NodeSettings| {
            let of = |text: &Option<String>| text.clone().unwrap_or("-".into());
            let (login, passcode) = (of(&node.login), of(&node.passcode));
            format!(
                "{login} {passcode} {} {}",
                node.peer(),
                of(&node.virtual_host)
            )
        };
        let nodes: Vec<_> = url.nodes.iter().map(node).collect();
        let options = url
            .options
            .iter()
            .map(|(name, value)| format!("; {name}={value}"));
        nodes.join(", ") + &options.collect::<String>()
    }

    #[test]
    fn urls_name_servers_logins_and_options() {
        for (text, read_as) in [
            ("stomp://a", "- - a:61613 -"),
            ("stomp+ssl://a", "- - a:61614 -"),
            ("stomp://a:1/", "- - a:1 -"),
            ("stomp://me@a", "me - a:61613 -"),
            ("stomp://me:@a", "me  a:61613 -"),
            ("stomp://me:s%40%3a:@a/v%2F", "me s@:: a:61613 v/"),
            ("stomp://me:s@a,b:2", "me s a:61613 -, me s b:2 -"),
            (
                "stomp://me:s@a,you:t@b/v",
                "me s a:61613 v, you t b:61613 v",
            ),
            ("stomp://[::1],[::2]:7", "- - [::1]:61613 -, - - [::2]:7 -"),
            ("stomp://a?x=1&y=%26&", "- - a:61613 -; x=1; y=&"),
            ("http://a", "Scheme"),
            ("a:61613", "Scheme"),
            ("stomp://", "Host(1)"),
            ("stomp://a,,b", "Host(2)"),
            ("stomp://a,[::1", "Host(2)"),
            ("stomp://a:0", "Port(1)"),
            ("stomp://a:+1", "Port(1)"),
            ("stomp://a:65536", "Port(1)"),
            ("stomp://[::1]7", "Port(1)"),
            ("stomp://me:s%4@a", "Escape(\"passcode\")"),
            ("stomp://m%ff@a", "Escape(\"login\")"),
            ("stomp://a?x", "Option(\"\\\"x\\\"\")"),
        ] {
            assert_eq!(read(text), read_as, "{text}");
        }
        assert_eq!(read(&format!("stomp://{}", "a,".repeat(1_001))), "Nodes");
    }

    #[test]
    fn passcodes_are_not_shown() {
        let url: StompUrl = "stomp://me:secret@a,[::1]:2/v?x=secret".parse().unwrap();
        assert_eq!(url.to_string(), "stomp://a:61613,[::1]:2");
        assert_eq!(format!("{url:?}"), "StompUrl(stomp://a:61613,[::1]:2)");
        let error = "stomp://me:secret@a:secret"
            .parse::<StompUrl>()
            .unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
