//! Which call fails, and how.

use fuser::Errno;

/// What a program may ask of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Lookup,
    Attributes,
    Open,
    Create,
    Read,
    Write,
    Resize,
    Sync,
    SyncFolder,
    Rename,
    Link,
    Unlink,
    MakeFolder,
    RemoveFolder,
    List,
    Space,
}

impl Kind {
    /// Whether the disk has other things on it afterwards, or keeps them better.
    pub(crate) fn changes(self) -> bool {
        self.takes_space() || matches!(self, Self::Unlink | Self::RemoveFolder)
    }

    /// Whether a full disk may refuse it.
    pub(crate) fn takes_space(self) -> bool {
        use Kind::{Create, Link, MakeFolder, Rename, Resize, Sync, SyncFolder, Write};
        matches!(
            self,
            Create | Link | MakeFolder | Rename | Resize | Sync | SyncFolder | Write
        )
    }
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    /// Of the file or folder, below the root of the disk.
    pub(crate) path: String,
}

/// How the disk answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// That call fails with `EIO`, and all others go well.
    OneError,
    /// That call and the next one that is chosen.
    TwoErrors,
    /// That call and all that are chosen after it.
    Errors,
    /// The same with `ENOSPC`.
    OneFull,
    Full,
    /// At that call the disk stops: nothing changes any more, whatever is asked.
    Stop,
}

impl Trouble {
    /// What the Nth call that was chosen is told, if the fault begins with the `first`.
    fn answer(self, nth: u64, first: u64) -> Option<Errno> {
        match self {
            Self::OneError => (nth == first).then_some(Errno::EIO),
            Self::TwoErrors => (first..first + 2).contains(&nth).then_some(Errno::EIO),
            Self::OneFull => (nth == first).then_some(Errno::ENOSPC),
            Self::Errors | Self::Stop => (nth >= first).then_some(Errno::EIO),
            Self::Full => (nth >= first).then_some(Errno::ENOSPC),
        }
    }
}

/// A fault at the Nth call of those that are chosen.
pub(crate) struct Fault {
    trouble: Trouble,
    first: u64,
    chosen: Box<dyn Fn(&Call) -> bool + Send>,
    seen: u64,
    /// The calls that failed.
    pub(super) failed: Vec<Call>,
}

impl Fault {
    /// From the `first`, counted from 1, of the calls that are `chosen`.
    pub(crate) fn new(
        trouble: Trouble,
        first: u64,
        chosen: impl Fn(&Call) -> bool + Send + 'static,
    ) -> Self {
        Self {
            trouble,
            first,
            chosen: Box::new(chosen),
            seen: 0,
            failed: Vec::new(),
        }
    }

    /// What the call is told, if it fails.
    pub(super) fn ask(&mut self, call: &Call) -> Option<Errno> {
        if !(self.chosen)(call) {
            return None;
        }
        self.seen += 1;
        let answer = self.trouble.answer(self.seen, self.first);
        if answer.is_some() {
            self.failed.push(call.clone());
        }
        answer
    }

    /// Whether the disk has stopped.
    pub(super) fn has_stopped(&self) -> bool {
        self.trouble == Trouble::Stop && !self.failed.is_empty()
    }
}
