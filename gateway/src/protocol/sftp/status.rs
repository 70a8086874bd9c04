//! Every no in SFTP's dress: a status code, a message, and what is said on the channel's stderr.

use jiff::Timestamp;
use nix::errno::Errno;

use super::wire::Malformed;
use crate::audit::IncidentId;
use crate::fault::Fault;
use crate::gate::{Denied, Refused};
use crate::site::tree::{NO_ROOM, Obstacle};

/// Status codes of version 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Ok = 0,
    Eof = 1,
    NoSuchFile = 2,
    PermissionDenied = 3,
    Failure = 4,
    BadMessage = 5,
    Unsupported = 8,
}

/// Why a request is not done.
#[derive(Debug)]
pub(super) enum No {
    /// The gate says so.
    Denied(Denied),
    /// A no about a file that had one before: requests that were on their way meanwhile. It is
    /// answered, but not said again.
    Again(Box<No>),
    /// It was allowed, but cannot be done.
    Obstacle(Obstacle),
    /// The request itself is wrong, or has nothing to give.
    Status(Code, &'static str),
}

/// A status as it is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: Code,
    pub(super) message: String,
    /// Whether the person has to be told on stderr too: many clients show the code alone.
    pub(super) said: bool,
}

impl No {
    /// Dresses a no; a failure of ours is logged with its cause, which the person does not see.
    pub(super) fn dress(self) -> Status {
        match self {
            No::Denied(Denied::Refused(Refused { refusal, incident })) => Status {
                code: Code::PermissionDenied,
                message: format!("{refusal} [incident {incident}]"),
                said: true,
            },
            No::Again(no) => Status {
                said: false,
                ..no.dress()
            },
            No::Denied(Denied::Fault(fault)) | No::Obstacle(Obstacle::Fault(fault)) => {
                failure_of_ours(&fault)
            }
            // The gate refuses these in its own words before they come here; see `Session::refuse`.
            No::Obstacle(
                Obstacle::LeadsOut
                | Obstacle::Special
                | Obstacle::SeveralNames
                | Obstacle::TwoAreas,
            ) => quiet(
                Code::PermissionDenied,
                "What is there, or on the way there, is not to be touched.",
            ),
            No::Obstacle(Obstacle::NoRoom) => aloud(NO_ROOM),
            No::Obstacle(Obstacle::Quota(sentence)) => aloud(&sentence),
            No::Obstacle(Obstacle::System(errno)) => of_system(errno),
            No::Status(code, message) => quiet(code, message),
        }
    }
}

impl No {
    /// Says whether it is the first about its file.
    pub(super) fn after(self, earlier: bool) -> Self {
        if earlier {
            No::Again(Box::new(self))
        } else {
            self
        }
    }
}

impl From<Denied> for No {
    fn from(denied: Denied) -> Self {
        No::Denied(denied)
    }
}

impl From<Obstacle> for No {
    fn from(obstacle: Obstacle) -> Self {
        No::Obstacle(obstacle)
    }
}

impl From<Fault> for No {
    fn from(fault: Fault) -> Self {
        No::Obstacle(Obstacle::Fault(fault))
    }
}

impl From<Malformed> for No {
    fn from(_: Malformed) -> Self {
        No::Status(Code::BadMessage, "The request is malformed.")
    }
}

/// Returns true if the request met what a client has to reckon with, such as a missing file:
/// nothing was changed, and nobody needs to know.
pub(super) fn is_everyday(obstacle: &Obstacle) -> bool {
    match obstacle {
        Obstacle::System(errno) => matches!(
            errno,
            Errno::ENOENT
                | Errno::EEXIST
                | Errno::ENOTDIR
                | Errno::EISDIR
                | Errno::ENOTEMPTY
                | Errno::EACCES
                | Errno::EPERM
                | Errno::EBUSY
                | Errno::EINVAL
                | Errno::ELOOP
                | Errno::ENAMETOOLONG
                | Errno::EXDEV
                | Errno::EMLINK
                | Errno::EFBIG
                | Errno::EBADF
                | Errno::EAGAIN
                | Errno::ETXTBSY
        ),
        Obstacle::LeadsOut | Obstacle::Special | Obstacle::SeveralNames | Obstacle::TwoAreas => {
            true
        }
        Obstacle::NoRoom | Obstacle::Quota(_) | Obstacle::Fault(_) => false,
    }
}

fn of_system(errno: Errno) -> Status {
    match errno {
        Errno::ENOENT => quiet(Code::NoSuchFile, "No such file or directory."),
        Errno::ENOTDIR => quiet(Code::NoSuchFile, "A part of the path is not a directory."),
        Errno::ELOOP => quiet(Code::Failure, "Too many links on the way."),
        Errno::EACCES | Errno::EPERM => quiet(
            Code::PermissionDenied,
            "The permission bits of the file or its folder forbid it; chmod may change them.",
        ),
        Errno::EEXIST => quiet(Code::Failure, "There is something of that name already."),
        Errno::EISDIR => quiet(Code::Failure, "It is a directory."),
        Errno::ENOTEMPTY => quiet(Code::Failure, "The directory is not empty."),
        Errno::EBUSY => quiet(Code::Failure, "It is in use."),
        Errno::EINVAL => quiet(Code::Failure, "That makes no sense here."),
        Errno::ENAMETOOLONG => quiet(Code::Failure, "The name is too long."),
        Errno::EFBIG => quiet(Code::Failure, "The file would be too large."),
        Errno::EMLINK => quiet(Code::Failure, "The file has too many names already."),
        Errno::EBADF => quiet(Code::Failure, "The handle is not open for that."),
        Errno::EAGAIN => aloud(
            "The connection mode is being switched at this moment, so no code is changed. Try again.",
        ),
        Errno::ESTALE => aloud(
            "Another session was cut off while it wrote this file, so it is not whole; it is kept, to be resumed.",
        ),
        Errno::ETXTBSY => quiet(Code::Failure, "The program is running."),
        Errno::EXDEV => {
            aloud("That cannot be done across two areas or file systems; copy instead.")
        }
        Errno::ENOSPC => aloud(
            "No space left on the server: nothing more can be written until files are removed.",
        ),
        Errno::EDQUOT => aloud(
            "The disk quota on the server is used up: nothing more can be written until files are removed.",
        ),
        Errno::EROFS => aloud("The server's disk is read-only at the moment."),
        other => failure_of_ours(&Fault::new(format!(
            "the operating system answered: {}",
            other.desc()
        ))),
    }
}

fn failure_of_ours(fault: &Fault) -> Status {
    let incident = IncidentId::new(Timestamp::now());
    tracing::error!(incident = %incident, "an SFTP request failed: {fault}");
    let sentence = "An internal error of the server; it has been logged.";
    Status {
        message: format!("{sentence} [incident {incident}]"),
        ..aloud(sentence)
    }
}

fn quiet(code: Code, message: impl Into<String>) -> Status {
    Status {
        code,
        message: message.into(),
        said: false,
    }
}

fn aloud(sentence: &str) -> Status {
    Status {
        code: Code::Failure,
        message: sentence.to_owned(),
        said: true,
    }
}
