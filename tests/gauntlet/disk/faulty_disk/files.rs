//! What the kernel asks of the disk.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::Disk;
use super::fault::{Call, Kind};
use super::tree::{Body, File, Folder, Node};

/// Nobody else changes the disk.
const FOREVER: Duration = Duration::from_secs(3600);

/// The face of a disk towards the kernel.
#[derive(Debug)]
pub(super) struct Files {
    disk: Arc<Mutex<Disk>>,
}

impl Files {
    pub(super) fn new(disk: Arc<Mutex<Disk>>) -> Self {
        Self { disk }
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().expect("not poisoned")
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Disk").finish_non_exhaustive()
    }
}

impl Disk {
    /// Counts a call, and fails it where it is its turn.
    fn ask(&mut self, kind: Kind, node: u64, name: Option<&OsStr>) -> Result<(), Errno> {
        let path = self.tree.path(node, name);
        if path.ends_with("-shm") {
            return Ok(());
        }
        let call = Call { kind, path };
        let answer = self.fault.as_mut().and_then(|fault| fault.ask(&call));
        self.calls.push(call);
        answer.map_or(Ok(()), Err)
    }

    fn has_stopped(&self) -> bool {
        self.fault.as_ref().is_some_and(super::Fault::has_stopped)
    }

    fn node(&mut self, number: u64) -> Result<&mut Node, Errno> {
        self.tree.node_mut(number).ok_or(Errno::ENOENT)
    }

    fn file(&mut self, number: u64) -> Result<&mut File, Errno> {
        match &mut self.node(number)?.body {
            Body::File(file) => Ok(file),
            Body::Folder(_) => Err(Errno::EISDIR),
        }
    }

    fn attributes(&self, number: u64) -> Result<FileAttr, Errno> {
        let node = self.tree.node(number).ok_or(Errno::ENOENT)?;
        let (kind, size) = match &node.body {
            Body::File(file) => (FileType::RegularFile, file.now.len() as u64),
            Body::Folder(_) => (FileType::Directory, 4096),
        };
        Ok(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(512),
            atime: node.modified,
            mtime: node.modified,
            ctime: node.modified,
            crtime: node.modified,
            kind,
            perm: node.mode,
            nlink: u32::try_from(self.tree.links(number)).expect("few names"),
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn found(&self, parent: u64, name: &OsStr) -> Result<FileAttr, Errno> {
        let number = self.tree.find(parent, name).ok_or(Errno::ENOENT)?;
        self.attributes(number)
    }

    fn make(
        &mut self,
        parent: u64,
        name: &OsStr,
        mode: u32,
        body: Body,
    ) -> Result<FileAttr, Errno> {
        if self.tree.find(parent, name).is_some() {
            return Err(Errno::EEXIST);
        }
        let mode = u16::try_from(mode & 0o7777).expect("it has twelve bits");
        let number = self.tree.make(parent, name, mode, body);
        self.attributes(number)
    }

    fn link(&mut self, number: u64, parent: u64, name: &OsStr) -> Result<FileAttr, Errno> {
        if self.tree.find(parent, name).is_some() {
            return Err(Errno::EEXIST);
        }
        self.tree.link(number, parent, name);
        self.attributes(number)
    }

    fn remove(&mut self, kind: Kind, parent: u64, name: &OsStr) -> Result<(), Errno> {
        self.ask(kind, parent, Some(name))?;
        let number = self.tree.find(parent, name).ok_or(Errno::ENOENT)?;
        if self
            .tree
            .folder(number)
            .is_some_and(|folder| !folder.now.is_empty())
        {
            return Err(Errno::ENOTEMPTY);
        }
        self.tree.forget(parent, name);
        Ok(())
    }

    fn sync(&mut self, kind: Kind, number: u64) -> Result<(), Errno> {
        let answer = self.ask(kind, number, None);
        // A disk that has stopped forgets nothing by it; one that failed has dropped the pages.
        if !self.has_stopped() {
            self.node(number)?.sync(answer.is_ok());
        }
        answer
    }

    fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let offset = usize::try_from(offset).expect("a file fits in memory");
        let answer = self.ask(Kind::Write, number, None);
        let is_broken_off = answer.is_err() && !self.has_stopped();
        let length = match answer {
            Ok(()) => bytes.len(),
            // What failed may have been written in part.
            Err(_) if is_broken_off => bytes.len() / 2,
            Err(_) => 0,
        };
        let node = self.node(number)?;
        node.modified = SystemTime::now();
        if length > 0 {
            self.file(number)?.write(offset, &bytes[..length]);
        }
        answer
    }

    fn rename(
        &mut self,
        from: (u64, &OsStr),
        to: (u64, &OsStr),
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        self.ask(Kind::Rename, to.0, Some(to.1))?;
        self.found(from.0, from.1)?;
        let is_taken = self.tree.find(to.0, to.1).is_some();
        match flags {
            RenameFlags::RENAME_NOREPLACE if is_taken => return Err(Errno::EEXIST),
            flags if flags.is_empty() || flags == RenameFlags::RENAME_NOREPLACE => {}
            _ => return Err(Errno::EINVAL),
        }
        self.tree.rename(from, to);
        Ok(())
    }

    fn list(&mut self, number: u64, offset: u64) -> Result<Vec<(u64, FileType, String)>, Errno> {
        self.ask(Kind::List, number, None)?;
        let folder = self.tree.folder(number).ok_or(Errno::ENOTDIR)?;
        let mut entries = vec![
            (number, FileType::Directory, ".".to_owned()),
            (number, FileType::Directory, "..".to_owned()),
        ];
        for (name, entry) in &folder.now {
            let kind = self.attributes(*entry)?.kind;
            entries.push((*entry, kind, name.to_string_lossy().into_owned()));
        }
        let start = usize::try_from(offset).expect("it was counted here");
        Ok(entries.split_off(start.min(entries.len())))
    }
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut disk = self.lock();
        let asked = disk.ask(Kind::Lookup, parent.0, Some(name));
        match asked.and_then(|()| disk.found(parent.0, name)) {
            Ok(found) => reply.entry(&FOREVER, &found, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let mut disk = self.lock();
        let asked = disk.ask(Kind::Attributes, ino.0, None);
        match asked.and_then(|()| disk.attributes(ino.0)) {
            Ok(found) => reply.attr(&FOREVER, &found),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = self.lock();
        let kind = size.map_or(Kind::Attributes, |_| Kind::Resize);
        let changed = disk.ask(kind, ino.0, None).and_then(|()| {
            if let Some(mode) = mode {
                disk.node(ino.0)?.mode = u16::try_from(mode & 0o7777).expect("twelve bits");
            }
            if let Some(size) = size {
                let size = usize::try_from(size).expect("a file fits in memory");
                disk.file(ino.0)?.resize(size);
            }
            disk.attributes(ino.0)
        });
        match changed {
            Ok(found) => reply.attr(&FOREVER, &found),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let mut disk = self.lock();
        let asked = disk.ask(Kind::MakeFolder, parent.0, Some(name));
        let folder = Body::Folder(Folder::default());
        match asked.and_then(|()| disk.make(parent.0, name, mode, folder)) {
            Ok(made) => reply.entry(&FOREVER, &made, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mut disk = self.lock();
        let asked = disk.ask(Kind::Create, parent.0, Some(name));
        let file = Body::File(File::default());
        match asked.and_then(|()| disk.make(parent.0, name, mode, file)) {
            Ok(made) => {
                let flags = FopenFlags::FOPEN_KEEP_CACHE;
                reply.created(&FOREVER, &made, Generation(0), FileHandle(0), flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let mut disk = self.lock();
        match disk.ask(Kind::Open, ino.0, None) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut disk = self.lock();
        let asked = disk.ask(Kind::Read, ino.0, None);
        match asked.and_then(|()| disk.file(ino.0)) {
            Ok(file) => {
                let start = usize::try_from(offset).expect("a file fits in memory");
                let start = start.min(file.now.len());
                let stop = file.now.len().min(start + size as usize);
                reply.data(&file.now[start..stop]);
            }
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.lock().write(ino.0, offset, data) {
            Ok(()) => reply.written(u32::try_from(data.len()).expect("the kernel's own size")),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        end(reply, self.lock().sync(Kind::Sync, ino.0));
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        end(reply, self.lock().sync(Kind::SyncFolder, ino.0));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        end(reply, self.lock().remove(Kind::Unlink, parent.0, name));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        end(
            reply,
            self.lock().remove(Kind::RemoveFolder, parent.0, name),
        );
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = ((parent.0, name), (newparent.0, newname));
        end(reply, self.lock().rename(from, to, flags));
    }

    fn link(
        &self,
        _: &Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        let mut disk = self.lock();
        let asked = disk.ask(Kind::Link, newparent.0, Some(newname));
        match asked.and_then(|()| disk.link(ino.0, newparent.0, newname)) {
            Ok(found) => reply.entry(&FOREVER, &found, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        match self.lock().list(ino.0, offset) {
            Ok(entries) => {
                for (entry, (number, kind, name)) in entries.into_iter().enumerate() {
                    let next = offset + entry as u64 + 1;
                    if reply.add(INodeNo(number), next, kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(error),
        }
    }

    fn statfs(&self, _: &Request, ino: INodeNo, reply: ReplyStatfs) {
        match self.lock().ask(Kind::Space, ino.0, None) {
            Ok(()) => reply.statfs(1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096, 255, 4096),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Closing a file does nothing here; told so once, the kernel asks no more.
        reply.error(Errno::ENOSYS);
    }
}

fn end(reply: ReplyEmpty, outcome: Result<(), Errno>) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}
