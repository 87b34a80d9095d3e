//! The parts of a URL.

use super::url::{Host, Login, Place, RedisUrl, RedisUrlError, Wait};
use std::path::PathBuf;
use std::time::Duration;
use trunkline_model::Span;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// Longest begin of keys, in bytes.
const PREFIX_BYTES_MAX: usize = 64;
/// Longest of all times, so that nothing overflows.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a URL from left to right.
pub(super) struct Reader<'t> {
    scheme: &'static str,
    login: Login,
    hosts: &'t str,
    /// After the `/`, if there is one.
    path: Option<&'t str>,
    options: &'t str,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Result<Self, RedisUrlError> {
        const SCHEMES: [&str; 8] = [
            "redis",
            "rediss",
            "redis+unix",
            "redis-sentinel",
            "redis-cluster",
            // As others write the first three.
            "valkey",
            "valkeys",
            "unix",
        ];
        let (scheme, rest) = text.trim().split_once("://").ok_or(RedisUrlError::Scheme)?;
        let scheme = SCHEMES.into_iter().find(|known| *known == scheme);
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        if options.contains('@') {
            // Then the question mark was in a password.
            return Err(RedisUrlError::Port);
        }
        let (authority, path) = match rest.find('/') {
            Some(slash) => (&rest[..slash], Some(&rest[slash + 1..])),
            None => (rest, None),
        };
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (read_login(login)?, hosts),
            None => (Login::default(), authority),
        };
        Ok(Self {
            scheme: scheme.ok_or(RedisUrlError::Scheme)?,
            login,
            hosts,
            path,
            options,
        })
    }

    pub(super) fn read(self) -> Result<RedisUrl, RedisUrlError> {
        let path = self.path.map(unescape).transpose()?;
        let path = path.filter(|path| !path.is_empty());
        let mut url = RedisUrl::at(self.place(path.as_deref())?);
        url.tls = matches!(self.scheme, "rediss" | "valkeys");
        url.login = self.login;
        if let (Place::Tcp(_) | Place::Cluster(_), Some(database)) = (&url.place, path) {
            url.database = database.parse().map_err(|_| RedisUrlError::Database)?;
        }
        for option in self.options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            set(&mut url, name, unescape(value)?)?;
        }
        if url.is_cluster() && url.database != 0 {
            return Err(RedisUrlError::Database);
        }
        Ok(url)
    }

    fn place(&self, path: Option<&str>) -> Result<Place, RedisUrlError> {
        match self.scheme {
            "redis+unix" | "unix" => match path {
                Some(path) if self.hosts.is_empty() => {
                    Ok(Place::Unix(PathBuf::from(format!("/{path}"))))
                }
                _ => Err(RedisUrlError::Socket),
            },
            "redis-sentinel" => Ok(Place::Sentinel {
                sentinels: read_hosts(self.hosts, SENTINEL_PORT)?,
                service: path.ok_or(RedisUrlError::Service)?.to_owned(),
            }),
            "redis-cluster" => Ok(Place::Cluster(read_hosts(self.hosts, PORT)?)),
            scheme => match read_hosts(self.hosts, PORT)?.as_slice() {
                [host] => Ok(Place::Tcp(host.clone())),
                _ => Err(RedisUrlError::Hosts(scheme)),
            },
        }
    }
}

fn read_login(text: &str) -> Result<Login, RedisUrlError> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(unescape(password)?)),
        None => (text, None),
    };
    Ok(Login {
        user: Some(unescape(user)?).filter(|user| !user.is_empty()),
        password,
    })
}

fn read_hosts(text: &str, port: u16) -> Result<Vec<Host>, RedisUrlError> {
    text.split(',').map(|host| read_host(host, port)).collect()
}

/// A host with or without a port.
pub(super) fn read_host(text: &str, port: u16) -> Result<Host, RedisUrlError> {
    let (name, after) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(RedisUrlError::Host)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match after.strip_prefix(':') {
        Some(number) => number.parse().map_err(|_| RedisUrlError::Port)?,
        None if after.is_empty() => port,
        None => return Err(RedisUrlError::Host),
    };
    if name.is_empty() || port == 0 {
        let empty = name.is_empty();
        return Err(if empty {
            RedisUrlError::Host
        } else {
            RedisUrlError::Port
        });
    }
    Ok(Host {
        name: name.into(),
        port,
    })
}

fn set(url: &mut RedisUrl, name: &str, value: String) -> Result<(), RedisUrlError> {
    let must = |option, must| RedisUrlError::Option { option, must };
    match name {
        "protocol" => {
            url.resp3 = match value.as_str() {
                "resp3" | "3" => true,
                "resp2" | "2" => false,
                _ => return Err(must("protocol", "resp2 or resp3")),
            };
        }
        "tls" => {
            url.tls = match (value.as_str(), &url.place) {
                ("true", Place::Tcp(_) | Place::Sentinel { .. } | Place::Cluster(_)) => true,
                ("false", _) if !matches!(url.place, Place::Tcp(_)) || !url.tls => false,
                _ => return Err(must("tls", "true or false, and as the scheme says it")),
            };
        }
        "ca" if value.is_empty() => return Err(must("ca", "the name of a file")),
        "ca" => url.ca = Some(PathBuf::from(value)),
        "database" => url.database = value.parse().map_err(|_| RedisUrlError::Database)?,
        "prefix" => {
            // A brace would choose a slot, and a glob of keys must mean what it says.
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
            if value.is_empty() || value.len() > PREFIX_BYTES_MAX || !value.bytes().all(plain) {
                let text = "1 to 64 letters, digits, -, _, . and :";
                return Err(must("prefix", text));
            }
            url.prefix = value.into();
        }
        "wait" => {
            let replicas = value
                .parse()
                .map_err(|_| must("wait", "a number of replicas"))?;
            url.wait = Some(Wait::Replicas(replicas));
        }
        "wait_aof" => {
            let numbers = value.split_once(',').and_then(|(local, replicas)| {
                let local = local.trim().parse().ok().filter(|local| *local <= 1)?;
                Some((local, replicas.trim().parse().ok()?))
            });
            let (local, replicas) = numbers.ok_or_else(|| {
                let text = "two numbers: 0 or 1 for the master, and of replicas, such as 1,1";
                must("wait_aof", text)
            })?;
            url.wait = Some(Wait::Disk { local, replicas });
        }
        "wait_timeout" => url.wait_timeout = timeout("wait_timeout", &value)?,
        "connect_timeout" => url.connect_timeout = timeout("connect_timeout", &value)?,
        "answer_timeout" => url.answer_timeout = timeout("answer_timeout", &value)?,
        "user" => url.login.user = Some(value),
        "password" => url.login.password = Some(value),
        "sentinel_user" => url.sentinel_login.user = Some(value),
        "sentinel_password" => url.sentinel_login.password = Some(value),
        _ => return Err(RedisUrlError::UnknownOption(name.to_owned())),
    }
    Ok(())
}

fn timeout(option: &'static str, value: &str) -> Result<Duration, RedisUrlError> {
    let span = value.parse().ok().map(|Span(span)| span);
    let fits = |span: &Duration| *span > Duration::ZERO && *span <= TIMEOUT_MAX;
    span.filter(fits).ok_or(RedisUrlError::Option {
        option,
        must: "a duration of more than nothing and at most 1d, such as 500ms or 5s",
    })
}

/// Replaces `%` and two hex digits by their byte.
fn unescape(text: &str) -> Result<String, RedisUrlError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit(), digit());
        let code = high.zip(low).map(|(high, low)| high * 16 + low);
        let code = code.and_then(|code| u8::try_from(code).ok());
        out.push(code.ok_or(RedisUrlError::Escape)?);
    }
    String::from_utf8(out).map_err(|_| RedisUrlError::Escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RedisUrl, RedisUrlError> {
        text.parse()
    }

    #[test]
    fn urls_print_without_what_is_secret() {
        for (text, printed) in [
            ("redis://host", "redis://host:6379"),
            ("valkey://host", "redis://host:6379"),
            ("redis://u:p@host:1/3?protocol=resp3", "redis://host:1"),
            ("rediss://:p@[::1]:7?ca=/etc/ca.pem", "rediss://[::1]:7"),
            ("redis+unix:///run/r%20s.sock", "redis+unix:///run/r s.sock"),
            (
                "unix:///r.sock?database=2&password=p",
                "redis+unix:///r.sock",
            ),
            (
                "redis-sentinel://u:p@a,b:2/mymaster?sentinel_password=s&tls=true",
                "redis-sentinel://a:26379,b:2/mymaster",
            ),
            ("redis-cluster://a,b:2", "redis-cluster://a:6379,b:2"),
        ] {
            let url = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(url.to_string(), printed, "{text}");
            assert_eq!(format!("{url:?}"), format!("RedisUrl({printed})"), "{text}");
        }
    }

    #[test]
    fn options_are_read() {
        let url = read(
            "redis://us%40er:p%2Fa:s@host/3?prefix=my-app&wait_aof=1,2&wait_timeout=1s&\
             connect_timeout=250ms&answer_timeout=1m&protocol=resp3",
        )
        .expect("a URL");
        let login = (url.login.user.as_deref(), url.login.password.as_deref());
        assert_eq!(login, (Some("us@er"), Some("p/a:s")));
        assert_eq!((url.database, url.resp3, url.tls), (3, true, false));
        assert_eq!(url.prefix(), "my-app");
        let wait = Wait::Disk {
            local: 1,
            replicas: 2,
        };
        assert_eq!(url.wait, Some(wait));
        let times = [url.wait_timeout, url.connect_timeout, url.answer_timeout];
        assert_eq!(times.map(|time| time.as_millis()), [1_000, 250, 60_000]);
        let url = read("redis://host?wait=2").expect("a URL");
        assert_eq!(url.wait, Some(Wait::Replicas(2)));
        assert_eq!(url.prefix(), "tl");
    }

    #[test]
    fn what_is_wrong_is_named_and_the_password_never() {
        for (text, part) in [
            ("http://host", "must begin with"),
            ("secret", "must begin with"),
            ("redis://", "no host"),
            ("redis://u:secret@", "no host"),
            ("redis://:sec/ret@host", "%2F"),
            ("redis://:a?secret@host", "a port"),
            ("redis://:secret@host:0", "a port"),
            ("redis://:secret@host:70000", "a port"),
            ("redis://:secret@a,b", "redis:// takes one host"),
            ("redis://:sec%ret@host", "%25"),
            ("redis://:secret@[::1", "IPv6"),
            ("redis://:secret@host/first", "database"),
            ("redis-cluster://:secret@host/1", "none but 0"),
            (
                "redis-cluster://host?database=1&password=secret",
                "none but 0",
            ),
            ("redis-sentinel://:secret@host", "mymaster"),
            ("redis+unix://host/path?password=secret", "whole path"),
            ("redis://:secret@host?sentinal_user=x", "\"sentinal_user\""),
            ("redis://:secret@host?wait=one", "option wait "),
            ("redis://:secret@host?wait_aof=2,0", "option wait_aof "),
            ("redis://:secret@host?prefix={x}", "option prefix "),
            (
                "redis://:secret@host?connect_timeout=0",
                "option connect_timeout ",
            ),
            ("rediss://:secret@host?tls=false", "option tls "),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }
}
