use crate::NodeSettings;

/// A server of a cluster, and what is its own.
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) settings: NodeSettings,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<super::Tls>,
}

impl Node {
    /// A server with nothing of its own.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        NodeSettings::new(host, port).into()
    }

    /// `login` and `passcode` of CONNECT; by default those of the client.
    #[must_use]
    pub fn login(mut self, login: impl Into<String>, passcode: impl Into<String>) -> Self {
        self.settings.login = Some(login.into());
        self.settings.passcode = Some(passcode.into());
        self
    }

    /// `host` of CONNECT; by default that of the client.
    #[must_use]
    pub fn vhost(mut self, name: impl Into<String>) -> Self {
        self.settings.virtual_host = Some(name.into());
        self
    }

    /// Is connected to through this TLS; by default through that of the client, if it has one.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: super::Tls) -> Self {
        self.tls = Some(tls);
        self
    }
}

impl From<NodeSettings> for Node {
    fn from(settings: NodeSettings) -> Self {
        Self {
            settings,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl From<(&str, u16)> for Node {
    fn from((host, port): (&str, u16)) -> Self {
        Self::new(host, port)
    }
}

impl From<(String, u16)> for Node {
    fn from((host, port): (String, u16)) -> Self {
        Self::new(&host, port)
    }
}
