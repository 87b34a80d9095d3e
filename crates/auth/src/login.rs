use std::fmt;
use trunkline_model::Protocol;

/// What somebody says of himself as his connection begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Login<'a> {
    /// His name, if he gives one.
    pub user: Option<&'a str>,
    /// What shows that it is his.
    pub passcode: Option<&'a str>,
    /// Through which front he comes.
    pub protocol: Protocol,
}

/// The passcode is not shown.
impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .field("passcode", &self.passcode.map(|_| "…"))
            .field("protocol", &self.protocol)
            .finish()
    }
}
