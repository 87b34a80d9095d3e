//! Which pages and which names may reach the server: a web page must not talk to a developer's
//! broker, neither directly (Origin) nor through a name that it points to 127.0.0.1 (Host).

use http::{HeaderMap, header};
use std::net::{IpAddr, Ipv6Addr};

/// Why a request is refused with 403.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the request has no Host header")]
    NoHost,
    #[error(
        "host {0:?} is not known here; ask for the server by its IP address or as localhost, or \
         add the name to http.hosts"
    )]
    Host(String),
    #[error("pages of origin {0:?} may not connect; add the origin to http.origins to allow it")]
    Origin(String),
}

/// Checks `Host` and `Origin`.
pub(crate) fn check(
    headers: &HeaderMap,
    hosts: &[String],
    origins: &[String],
) -> Result<(), Refusal> {
    let text = |name| {
        headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
    };
    let host = text(header::HOST).ok_or(Refusal::NoHost)?;
    if !is_known_host(host_name(&host), hosts) {
        return Err(Refusal::Host(host.into_owned()));
    }
    match text(header::ORIGIN) {
        Some(origin) if !is_known_origin(&origin, &host, origins) => {
            Err(Refusal::Origin(origin.into_owned()))
        }
        _ => Ok(()),
    }
}

fn is_known_host(name: &str, hosts: &[String]) -> bool {
    ip(name).is_some()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

fn is_known_origin(origin: &str, host: &str, origins: &[String]) -> bool {
    if origins
        .iter()
        .any(|known| known.eq_ignore_ascii_case(origin))
    {
        return true;
    }
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    if !matches!(scheme, "http" | "https") {
        return false;
    }
    let name = host_name(authority);
    authority.eq_ignore_ascii_case(host)
        || name.eq_ignore_ascii_case("localhost")
        || ip(name).is_some_and(|ip| ip.to_canonical().is_loopback())
}

/// The host of `host[:port]`; brackets stay.
fn host_name(authority: &str) -> &str {
    let end_of_address = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[end_of_address..].rfind(':') {
        Some(at) => &authority[..end_of_address + at],
        None => authority,
    }
}

fn ip(name: &str) -> Option<IpAddr> {
    match name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => name.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(host: Option<&str>, origin: Option<&str>) -> Result<(), Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in [(header::HOST, host), (header::ORIGIN, origin)] {
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        check(
            &headers,
            &["broker.example".to_owned()],
            &["https://app.example".to_owned()],
        )
    }

    #[test]
    fn hosts() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:7400",
            "localhost",
            "LOCALHOST:7400",
            "[::1]:7400",
            "[::1]",
            "192.168.1.7:80",
            "broker.example",
            "Broker.Example:7400",
        ] {
            assert_eq!(verdict(Some(host), None), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:7400",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            ":7400",
            "[evil]",
            "]:",
        ] {
            let refusal = Refusal::Host(host.to_owned());
            assert_eq!(verdict(Some(host), None), Err(refusal), "{host}");
        }
        assert_eq!(verdict(None, None), Err(Refusal::NoHost));
    }

    #[test]
    fn origins() {
        let at = |origin| verdict(Some("broker.example:7400"), Some(origin));
        for origin in [
            "http://broker.example:7400",
            "https://app.example",
            "http://localhost:3000",
            "http://127.0.0.1",
            "http://127.8.9.10:1",
            "https://[::1]:8443",
        ] {
            assert_eq!(at(origin), Ok(()), "{origin}");
        }
        for origin in [
            "null",
            "",
            "https://evil.example",
            "http://broker.example",
            "http://app.example",
            "https://app.example.evil",
            "http://localhost.evil.example",
            "http://192.168.1.7",
            "file://localhost",
            "http://localhost@evil.example",
        ] {
            let refusal = Refusal::Origin(origin.to_owned());
            assert_eq!(at(origin), Err(refusal), "{origin}");
        }
    }
}
