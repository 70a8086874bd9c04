//! Why a permitted operation on the tree was not done.

use nix::errno::Errno;
use policy::InTheWay;

use crate::fault::Fault;

/// What stood in the way of a permitted operation.
#[derive(Debug)]
pub enum Obstacle {
    /// The operating system's answer: the file is missing, the disk is full, and so on.
    System(Errno),
    /// A link on the way leads out of the area.
    LeadsOut,
    /// The place holds a pipe, a socket or a device, which are never opened.
    Special,
    /// The file has a second name (a hard link) that was not found in its area.
    SeveralNames,
    /// A hard link whose two names would lie in two areas.
    TwoAreas,
    /// A copy on the server that does not fit on its disk.
    NoRoom,
    /// The environment's quota is used up, as the sentence says.
    Quota(String),
    /// A failure of ours.
    Fault(Fault),
}

impl Obstacle {
    /// Returns what the policy has to hear of, so that it refuses: what is at a place, or on the way
    /// to it. All else is no decision of anybody's.
    pub fn in_the_way(&self) -> Option<InTheWay> {
        match self {
            Obstacle::LeadsOut => Some(InTheWay::WayOut),
            Obstacle::Special => Some(InTheWay::Special),
            Obstacle::SeveralNames => Some(InTheWay::SeveralNames),
            Obstacle::TwoAreas => Some(InTheWay::TwoAreas),
            Obstacle::System(_) | Obstacle::NoRoom | Obstacle::Quota(_) | Obstacle::Fault(_) => {
                None
            }
        }
    }

    /// Makes a fault of an obstacle that stood in the way of nobody's request.
    pub(super) fn into_fault(self, doing: &str) -> Fault {
        match self {
            Obstacle::System(errno) => Fault::new(format!("{doing}: {}", errno.desc())),
            Obstacle::LeadsOut => Fault::new(format!("{doing}: a link leads out of its area")),
            Obstacle::Special => Fault::new(format!("{doing}: a pipe, socket or device")),
            Obstacle::SeveralNames => Fault::new(format!("{doing}: a file with several names")),
            Obstacle::TwoAreas => Fault::new(format!("{doing}: a file of two areas")),
            Obstacle::NoRoom => Fault::new(format!("{doing}: {NO_ROOM}")),
            Obstacle::Quota(sentence) => Fault::new(format!("{doing}: {sentence}")),
            Obstacle::Fault(fault) => fault,
        }
    }
}

impl From<Errno> for Obstacle {
    fn from(errno: Errno) -> Self {
        Obstacle::System(errno)
    }
}

impl From<Fault> for Obstacle {
    fn from(fault: Fault) -> Self {
        Obstacle::Fault(fault)
    }
}

impl From<std::io::Error> for Obstacle {
    fn from(error: std::io::Error) -> Self {
        Obstacle::System(Errno::from_raw(error.raw_os_error().unwrap_or_default()))
    }
}

/// What is said where a copy does not fit.
pub const NO_ROOM: &str = "The copy does not fit on the server's disk, part of which has to stay \
                           free for others; remove files, or copy less.";
