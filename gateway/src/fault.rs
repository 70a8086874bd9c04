//! A failure of ours. The person sees that something failed and an incident id; the log has the
//! cause. What the person did wrong is never a fault but a `policy::Refusal` or a protocol error.

use std::error::Error;
use std::fmt;

/// A failure of the gateway, with what was being done and its cause.
#[derive(Debug)]
pub struct Fault {
    doing: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// Returns a fault that has no further cause; `doing` is a sentence without a full stop.
    pub fn new(doing: impl Into<String>) -> Self {
        Self {
            doing: doing.into(),
            cause: None,
        }
    }

    /// Returns what a person may be told: what was being done, and a full disk by its name; causes
    /// and paths of the server stay in the log.
    pub fn for_person(&self) -> String {
        let quota = std::io::ErrorKind::QuotaExceeded;
        if self.io().is_some_and(|error| error.kind() == quota) {
            return format!("{} failed: the quota is used up", self.public());
        }
        // SQLite, git and libgit2 have words of their own for it, and no kind.
        let whole = self.to_string();
        if FULL.iter().any(|words| whole.contains(words)) {
            return format!("{} failed: no space is left on the server", self.public());
        }
        format!("{} failed", self.public())
    }

    /// The sentence without absolute paths of the server.
    fn public(&self) -> String {
        self.doing
            .split(' ')
            .map(|word| if word.starts_with('/') { "…" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Returns the operating system's error behind this fault, if there is one.
    pub fn io(&self) -> Option<&std::io::Error> {
        let cause = self.cause.as_ref()?;
        let deeper = || cause.downcast_ref::<Self>().and_then(Self::io);
        cause.downcast_ref().or_else(deeper)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)?;
        let mut cause = self
            .cause
            .as_ref()
            .map(|cause| &**cause as &(dyn Error + 'static));
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Error for Fault {}

/// How the system and the libraries say that the disk is full.
const FULL: [&str; 2] = ["No space left on device", "database or disk is full"];

/// Turns the error of a result into a [`Fault`] that says what was being done.
pub trait OrFault<T> {
    /// Names what was being done; called only on failure.
    ///
    /// # Errors
    /// Whenever the result is an error.
    fn or_fault<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T, Fault>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> OrFault<T> for Result<T, E> {
    fn or_fault<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T, Fault> {
        self.map_err(|cause| Fault {
            doing: doing().into(),
            cause: Some(cause.into()),
        })
    }
}
