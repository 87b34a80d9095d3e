//! Whether a server's user may do what is going to be asked of it.

use super::{Deployment, Failure, Refusal};

/// Asks whether a command may be run, without running it. Versions before 7 can't say.
const MAY: &str = r"
if not redis.acl_check_cmd then return 1 end
if redis.acl_check_cmd(unpack(ARGV)) then return 1 end
return 0
";

impl Deployment {
    /// Whether the user of the URL may run these commands on their keys and channels, as far as the server tells: from
    /// version 7 on, and only to who may run scripts. None of them is run.
    ///
    /// # Errors
    /// [`Failure::Refused`] with [`Refusal::Permission`] names the first that it may not; others as usual.
    pub(crate) async fn check_rights(&self, commands: &[Vec<&str>]) -> Result<(), Failure> {
        for words in commands {
            let mut ask = redis::cmd("EVAL");
            ask.arg(MAY).arg(0).arg(words);
            let may: i64 = match self.one(b"", &ask).await {
                Err(failure) if failure.refusal() == Some(Refusal::Permission) => return Ok(()),
                other => other?,
            };
            if may == 0 {
                return Err(Failure::Refused {
                    server: self.url().to_string(),
                    refusal: Refusal::Permission,
                    text: format!("its user may not run {} on {}", words[0], words[1]),
                    partly: false,
                });
            }
        }
        Ok(())
    }
}
