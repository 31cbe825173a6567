//! A disk that loses what was not synced, and fails when it is told to.
//!
//! It is a file system in memory, mounted through FUSE, on which a real server keeps its data. Pages
//! are cached and mapped as on any other; each write, sync and change of a name comes here at once.
//! The index that SQLite maps beside its log (`-shm`) is never failed: it is memory that happens to
//! have a name, it is made anew at each start, and a page of it that can't be read ends any program.

mod fault;
mod files;
pub(crate) mod random;
mod tree;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption, SessionACL};
use tempfile::TempDir;

pub(crate) use self::fault::{Call, Fault, Kind, Trouble};
use self::files::Files;
pub(crate) use self::tree::Loss;
use self::tree::{Body, Tree};
use crate::support::wait;

/// Waits for the end of its input, however that comes, and takes the mount away.
const KEEPER: &str = r#"
trap '' HUP INT TERM
read -r _
while umount -l "$1" 2>/dev/null; do :; done
rmdir "$1" 2>/dev/null
"#;

/// A place for a mount, which ends with the test, even with one that is killed.
#[derive(Debug)]
pub(crate) struct MountPoint {
    folder: Option<TempDir>,
    keeper: Child,
}

impl MountPoint {
    pub(crate) fn new() -> Self {
        let folder = crate::support::folder();
        let mut keeper = Command::new("setsid");
        keeper
            .args(["sh", "-c", KEEPER, "keeper"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self {
            folder: Some(folder),
            keeper: keeper.spawn().expect("a shell starts"),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.as_ref().expect("it is there").path()
    }
}

impl Drop for MountPoint {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
        // The folder of a mount that is still there must not be emptied.
        if let Some(folder) = self.folder.take() {
            let _ = std::fs::remove_dir(folder.keep());
        }
    }
}

/// A mounted disk.
#[derive(Debug)]
pub(crate) struct FaultyDisk {
    session: Option<BackgroundSession>,
    disk: Arc<Mutex<Disk>>,
    place: MountPoint,
}

/// What is on the disk, and what is wrong with it.
struct Disk {
    tree: Tree,
    fault: Option<Fault>,
    /// All calls that could fail.
    calls: Vec<Call>,
}

impl FaultyDisk {
    /// An empty disk without a fault.
    pub(crate) fn new() -> Self {
        let mut disk = Self {
            session: None,
            disk: Arc::new(Mutex::new(Disk {
                tree: Tree::new(),
                fault: None,
                calls: Vec::new(),
            })),
            place: MountPoint::new(),
        };
        disk.mount();
        disk
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    /// Which calls there were since the disk was mounted.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Begins to fail, and forgets any fault before.
    pub(crate) fn fail(&self, fault: Fault) {
        self.lock().fault = Some(fault);
    }

    /// Is well again, and tells which calls have failed.
    pub(crate) fn heal(&self) -> Vec<Call> {
        let fault = self.lock().fault.take();
        fault.map_or_else(Vec::new, |fault| fault.failed)
    }

    /// Whether it has stopped.
    pub(crate) fn has_stopped(&self) -> bool {
        let disk = self.lock();
        disk.fault.as_ref().is_some_and(Fault::has_stopped)
    }

    /// The power goes, or only the process, and comes back. Whoever used the disk has ended.
    pub(crate) fn restart(&mut self, loss: Loss) {
        let calls = self.lock().calls.len();
        self.unmount();
        let mut disk = self.lock();
        disk.calls.truncate(calls);
        disk.fault = None;
        disk.tree = std::mem::replace(&mut disk.tree, Tree::new()).after(loss);
        disk.calls.clear();
        drop(disk);
        self.mount();
    }

    /// Makes all that is there durable.
    pub(crate) fn settle(&self) {
        self.lock().tree.settle();
    }

    /// Flips a bit of a file, below all caches.
    pub(crate) fn flip(&mut self, path: &str, offset: usize) {
        self.unmount();
        let mut disk = self.lock();
        let number = disk.tree.number(path).expect("the file is there");
        let node = disk.tree.node_mut(number).expect("a name names a node");
        let Body::File(file) = &mut node.body else {
            panic!("{path} is a folder");
        };
        file.flip(offset);
        drop(disk);
        self.mount();
    }

    fn mount(&mut self) {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("faulty".into())];
        config.acl = SessionACL::All;
        let files = Files::new(Arc::clone(&self.disk));
        let session = fuser::spawn_mount(files, self.path(), &config);
        self.session = Some(session.expect("root may mount"));
    }

    fn unmount(&mut self) {
        let Some(session) = self.session.take() else {
            return;
        };
        // A process that has just ended may hold it for a moment.
        wait::until("the disk is free", Duration::from_secs(20), || {
            let done = Command::new("umount").arg(self.path()).output();
            done.expect("umount runs").status.success().then_some(())
        });
        let _ = session.join();
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().expect("not poisoned")
    }
}
