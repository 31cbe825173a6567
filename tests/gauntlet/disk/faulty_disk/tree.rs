//! Files and folders in memory, with what a power cut would leave of them.
//!
//! A file has what programs see, what is durable, and the changes in between; so has a folder, whose
//! entries are apart from the files they name. A sync makes durable what it is called on and nothing
//! else: a synced file that no synced folder names is gone after the cut.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::time::SystemTime;

use super::random::Random;

/// The folder that everything lies in.
pub(super) const ROOT: u64 = 1;

/// What a disk writes at once: of a longer write any page may be lost.
const PAGE: usize = 4096;

/// How much of what was not synced the cut takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// Nothing: not the power went, but the process.
    Nothing,
    /// All of it.
    All,
    /// Any part of it, as a seed says.
    Some(u64),
}

/// Everything on the disk.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<u64, Node>,
}

/// A file or a folder.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it was put last, for those who choose calls by their paths.
    pub(super) parent: u64,
    pub(super) name: OsString,
    pub(super) mode: u16,
    pub(super) modified: SystemTime,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    File(File),
    Folder(Folder),
}

#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) now: BTreeMap<OsString, u64>,
    durable: BTreeMap<OsString, u64>,
    /// Names, and what they name since.
    unsynced: Vec<(OsString, Option<u64>)>,
}

impl Tree {
    /// A disk with an empty folder.
    pub(super) fn new() -> Self {
        let mut tree = Self {
            nodes: BTreeMap::new(),
        };
        let root = Node::new(ROOT, OsStr::new(""), 0o755, Body::Folder(Folder::default()));
        tree.nodes.insert(ROOT, root);
        tree
    }

    pub(super) fn node(&self, number: u64) -> Option<&Node> {
        self.nodes.get(&number)
    }

    pub(super) fn node_mut(&mut self, number: u64) -> Option<&mut Node> {
        self.nodes.get_mut(&number)
    }

    pub(super) fn folder(&self, number: u64) -> Option<&Folder> {
        match &self.node(number)?.body {
            Body::Folder(folder) => Some(folder),
            Body::File(_) => None,
        }
    }

    pub(super) fn find(&self, parent: u64, name: &OsStr) -> Option<u64> {
        self.folder(parent)?.now.get(name).copied()
    }

    /// The path of a node below the root, or of a name in it.
    pub(super) fn path(&self, mut number: u64, name: Option<&OsStr>) -> String {
        let mut parts: Vec<_> = name.into_iter().collect();
        while number != ROOT
            && let Some(node) = self.nodes.get(&number)
        {
            parts.push(&node.name);
            number = node.parent;
        }
        parts.reverse();
        let parts: Vec<_> = parts.iter().map(|part| part.to_string_lossy()).collect();
        parts.join("/")
    }

    /// What a path names.
    pub(super) fn number(&self, path: &str) -> Option<u64> {
        let mut parts = path.split('/');
        parts.try_fold(ROOT, |parent, name| self.find(parent, OsStr::new(name)))
    }

    /// Puts something new under a name.
    pub(super) fn make(&mut self, parent: u64, name: &OsStr, mode: u16, body: Body) -> u64 {
        let number = self.nodes.last_key_value().map_or(ROOT, |(last, _)| *last) + 1;
        self.nodes
            .insert(number, Node::new(parent, name, mode, body));
        self.enter(parent, name, Some(number));
        number
    }

    /// Takes a name away; what it named stays for those who have it open.
    pub(super) fn forget(&mut self, parent: u64, name: &OsStr) {
        self.enter(parent, name, None);
    }

    /// Gives a file one more name.
    pub(super) fn link(&mut self, number: u64, parent: u64, name: &OsStr) {
        self.enter(parent, name, Some(number));
    }

    /// How many names a file has.
    pub(super) fn links(&self, number: u64) -> usize {
        let folders = self.nodes.values().filter_map(|node| match &node.body {
            Body::Folder(folder) => Some(folder),
            Body::File(_) => None,
        });
        let names = folders.flat_map(|folder| folder.now.values());
        names.filter(|named| **named == number).count()
    }

    /// Moves a name. In two folders that is two changes, and each needs the sync of its own.
    pub(super) fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) {
        let Some(number) = self.find(from.0, from.1) else {
            return;
        };
        self.enter(from.0, from.1, None);
        self.enter(to.0, to.1, Some(number));
        let node = self.nodes.get_mut(&number).expect("a name names a node");
        (node.parent, node.name) = (to.0, to.1.to_owned());
    }

    /// Names may be back where they were before a move; what none leads to is dropped.
    fn name_anew(&mut self) {
        let mut reached = BTreeMap::new();
        let mut folders = vec![ROOT];
        reached.insert(ROOT, (ROOT, OsString::new()));
        while let Some(parent) = folders.pop() {
            let names = self.folder(parent).map(|folder| folder.now.clone());
            for (name, number) in names.into_iter().flatten() {
                folders.push(number);
                reached.insert(number, (parent, name));
            }
        }
        self.nodes.retain(|number, _| reached.contains_key(number));
        for (number, (parent, name)) in reached {
            let node = self.nodes.get_mut(&number).expect("a name names a node");
            (node.parent, node.name) = (parent, name);
        }
    }

    fn enter(&mut self, parent: u64, name: &OsStr, number: Option<u64>) {
        let node = self.nodes.get_mut(&parent).expect("the folder was found");
        node.modified = SystemTime::now();
        if let Body::Folder(folder) = &mut node.body {
            apply_entry(&mut folder.now, name, number);
            folder.unsynced.push((name.to_owned(), number));
        }
    }

    /// Makes everything durable.
    pub(super) fn settle(&mut self) {
        self.nodes.values_mut().for_each(|node| node.sync(true));
    }

    /// What the disk has when the power is back.
    pub(super) fn after(self, loss: Loss) -> Self {
        let mut random = match loss {
            Loss::Nothing => return self,
            Loss::All => None,
            Loss::Some(seed) => Some(Random::new(seed)),
        };
        let mut nodes = BTreeMap::new();
        for (number, mut node) in self.nodes {
            node.body = match node.body {
                Body::File(file) => Body::File(file.after(random.as_mut())),
                Body::Folder(folder) => Body::Folder(folder.after(random.as_mut())),
            };
            nodes.insert(number, node);
        }
        let mut kept = Self { nodes };
        kept.name_anew();
        kept
    }
}

impl Node {
    fn new(parent: u64, name: &OsStr, mode: u16, body: Body) -> Self {
        Self {
            parent,
            name: name.to_owned(),
            mode,
            modified: SystemTime::now(),
            body,
        }
    }

    /// A sync that went well, or one that failed: then the changes are seen, and never become durable.
    pub(super) fn sync(&mut self, is_well: bool) {
        match &mut self.body {
            Body::File(file) => {
                for change in std::mem::take(&mut file.unsynced) {
                    if is_well {
                        change.apply(&mut file.durable, |_| true);
                    }
                }
            }
            Body::Folder(folder) => {
                for (name, number) in std::mem::take(&mut folder.unsynced) {
                    if is_well {
                        apply_entry(&mut folder.durable, &name, number);
                    }
                }
            }
        }
    }
}

impl File {
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.change(Change::Write(offset, bytes.to_vec()));
    }

    pub(super) fn resize(&mut self, length: usize) {
        self.change(Change::Resize(length));
    }

    /// Flips a bit of what is stored.
    pub(super) fn flip(&mut self, offset: usize) {
        for bytes in [&mut self.now, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 4;
            }
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now, |_| true);
        self.unsynced.push(change);
    }

    fn after(self, random: Option<&mut Random>) -> Self {
        let mut durable = self.durable;
        if let Some(random) = random {
            // Some files lose nothing, some all, some a part.
            let kept = [0, 300, 700, 1000][random.below(4)];
            for change in self.unsynced {
                change.apply(&mut durable, |_| random.below(1000) < kept);
            }
        }
        Self {
            now: durable.clone(),
            durable,
            unsynced: Vec::new(),
        }
    }
}

impl Change {
    /// Makes those pages of the change that are `kept`.
    fn apply(&self, bytes: &mut Vec<u8>, mut kept: impl FnMut(usize) -> bool) {
        match self {
            Self::Resize(length) => {
                if kept(0) {
                    bytes.resize(*length, 0);
                }
            }
            Self::Write(offset, written) => {
                let (mut start, end) = (*offset, offset + written.len());
                while start < end {
                    let stop = end.min((start / PAGE + 1) * PAGE);
                    if kept(start) {
                        if bytes.len() < stop {
                            bytes.resize(stop, 0);
                        }
                        bytes[start..stop].copy_from_slice(&written[start - offset..stop - offset]);
                    }
                    start = stop;
                }
            }
        }
    }
}

impl Folder {
    fn after(self, random: Option<&mut Random>) -> Self {
        let mut durable = self.durable;
        if let Some(random) = random {
            // Of one name the changes come in their order; those of different names don't.
            let mut cut = BTreeMap::new();
            for (name, number) in &self.unsynced {
                let is_kept = cut.entry(name).or_insert(true);
                *is_kept &= random.below(2) == 0;
                if *is_kept {
                    apply_entry(&mut durable, name, *number);
                }
            }
        }
        Self {
            now: durable.clone(),
            durable,
            unsynced: Vec::new(),
        }
    }
}

fn apply_entry(entries: &mut BTreeMap<OsString, u64>, name: &OsStr, number: Option<u64>) {
    match number {
        Some(number) => entries.insert(name.to_owned(), number),
        None => entries.remove(name),
    };
}
