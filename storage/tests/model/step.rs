//! Steps: what is done and what is asked, by numbers into the [`World`](crate::world::World).
//!
//! A step makes sense whatever came before it, so that any of them can be left out when a failure is
//! made small.

use std::time::Duration;

use crate::dice::Dice;
use crate::world::World;

/// One call, some time after the one before.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Its number, which nothing else has.
    pub(crate) number: u64,
    /// How long after the last one.
    pub(crate) wait: Duration,
    /// What is done.
    pub(crate) act: Act,
}

/// Numbers of a repository, a document, a content, a tag.
pub(crate) type Repository = usize;
pub(crate) type Document = usize;
pub(crate) type Content = usize;
pub(crate) type Tag = usize;
/// A place that an upload may take.
pub(crate) type Slot = usize;

/// How many uploads there may be.
pub(crate) const SLOTS: usize = 6;

/// What is done or asked.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Begin {
        slot: Slot,
        repository: Repository,
        limit: u64,
        epoch: usize,
    },
    Progress {
        slot: Slot,
        from: u64,
        offset: u64,
    },
    Finish {
        slot: Slot,
        creation: bool,
    },
    Cancel {
        slot: Slot,
    },
    Store {
        repository: Repository,
        content: Content,
    },
    Mount {
        source: Repository,
        target: Repository,
        content: Content,
        creation: bool,
    },
    Unlink {
        repository: Repository,
        content: Content,
    },
    Touch {
        repository: Repository,
        content: Content,
    },
    Push {
        repository: Repository,
        document: Document,
        tags: Vec<Tag>,
        creation: bool,
        sparse: bool,
    },
    Delete {
        repository: Repository,
        document: Document,
    },
    DeleteTag {
        repository: Repository,
        tag: Tag,
    },
    Create {
        repository: Repository,
        mutability: usize,
    },
    Change {
        repository: Repository,
        mutability: usize,
        scan: bool,
    },
    SetLifecycle {
        repository: Repository,
        policy: Option<u64>,
    },
    DeleteRepository {
        repository: Repository,
        force: bool,
    },
    RestoreRepository {
        repository: Repository,
    },
    Restore {
        repository: Repository,
        document: Document,
    },
    RestoreBlob {
        repository: Repository,
        content: Content,
    },
    RollBack {
        repository: Repository,
        tag: Tag,
        to: Option<Document>,
    },
    Lock {
        repository: Repository,
        tag: Tag,
        locked: bool,
    },
    Lease {
        document: Document,
        holder: usize,
        term: Duration,
    },
    Release {
        document: Document,
        holder: usize,
    },
    Class {
        repository: Repository,
        document: Document,
        archive: bool,
    },
    Pulls {
        repository: Repository,
        document: Document,
        age: Duration,
    },
    Untag {
        repository: Repository,
        document: Document,
        tags: Vec<Tag>,
    },
    Purge {
        grace: Duration,
    },
    Review {
        grace: Duration,
    },
    Forget {
        grace: Duration,
    },
    Removed {
        first: usize,
    },
    HoldJob {
        holder: usize,
    },
    Policy {
        repository: Repository,
        documents: Vec<Document>,
        is_stale: bool,
        archive: bool,
    },
    ReleaseJob {
        holder: usize,
    },
    Ask(Question),
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    Repositories {
        after: usize,
        limit: u64,
    },
    Tags {
        repository: Repository,
        after: usize,
        limit: u64,
    },
    Manifest {
        repository: Repository,
        document: Document,
    },
    Tagged {
        repository: Repository,
        tag: Tag,
    },
    Referrers {
        repository: Repository,
        document: Document,
        kind: usize,
        limit: u64,
    },
    Images {
        repository: Repository,
        after: Document,
        limit: u64,
    },
    Names {
        repository: Repository,
        class: usize,
        tagged: usize,
        after: Document,
        limit: u64,
    },
    Facts {
        repository: Repository,
    },
    Blobs {
        repository: Repository,
    },
    Places {
        content: Content,
        limit: u64,
    },
    History {
        repository: Repository,
        tag: Tag,
        limit: u64,
    },
    Trash {
        repository: Option<Repository>,
        skip: usize,
        limit: u64,
    },
    Leases {
        document: Document,
    },
    Plan {
        grace: Duration,
    },
    Uploads {
        age: Duration,
        epoch: usize,
    },
    Removals,
    Events,
}

const HOUR: Duration = Duration::from_secs(3600);

/// Makes up steps.
#[derive(Debug)]
pub(crate) struct Steps<'world> {
    dice: Dice,
    world: &'world World,
    number: u64,
}

impl<'world> Steps<'world> {
    /// The steps of a seed.
    pub(crate) const fn new(seed: u64, world: &'world World) -> Self {
        Self {
            dice: Dice::new(seed),
            world,
            number: 0,
        }
    }

    fn repository(&mut self) -> Repository {
        // Most of the time in two of them, so that things come together there.
        if self.dice.chance(70) {
            self.dice.below(2)
        } else {
            self.dice.below(self.world.repositories.len())
        }
    }

    fn document(&mut self) -> Document {
        self.dice.below(self.world.documents.len())
    }

    fn content(&mut self) -> Content {
        self.dice.below(self.world.contents.len())
    }

    fn tag(&mut self) -> Tag {
        self.dice.below(self.world.tags.len())
    }

    fn some_tags(&mut self) -> Vec<Tag> {
        let mut tags: Vec<Tag> = (0..*self.dice.one_of(&[0, 1, 1, 1, 2, 3]))
            .map(|_| self.tag())
            .collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }

    fn grace(&mut self) -> Duration {
        HOUR * *self.dice.one_of(&[0, 1, 10, 100, 500])
    }

    fn limit(&mut self) -> u64 {
        *self.dice.one_of(&[1, 2, 3, 1000])
    }

    fn act(&mut self) -> Act {
        let repository = self.repository();
        match self.dice.below(200) {
            0..4 => Act::Begin {
                slot: self.dice.below(SLOTS),
                repository,
                limit: *self.dice.one_of(&[1, 2, 10]),
                epoch: self.dice.below(2),
            },
            4..9 => Act::Progress {
                slot: self.dice.below(SLOTS),
                from: *self.dice.one_of(&[0, 0, 0, 5, 9]),
                offset: *self.dice.one_of(&[5, 9, 9, 9, 10]),
            },
            9..13 => Act::Finish {
                slot: self.dice.below(SLOTS),
                creation: self.dice.chance(80),
            },
            13..15 => Act::Cancel {
                slot: self.dice.below(SLOTS),
            },
            15..33 => Act::Store {
                repository,
                content: self.content(),
            },
            33..38 => Act::Mount {
                source: self.repository(),
                target: repository,
                content: self.content(),
                creation: self.dice.chance(80),
            },
            38..41 => Act::Unlink {
                repository,
                content: self.content(),
            },
            41..43 => Act::Touch {
                repository,
                content: self.content(),
            },
            43..70 => Act::Push {
                repository,
                document: self.document(),
                tags: self.some_tags(),
                creation: self.dice.chance(90),
                sparse: self.dice.chance(50),
            },
            70..77 => Act::Delete {
                repository,
                document: self.document(),
            },
            77..81 => Act::DeleteTag {
                repository,
                tag: self.tag(),
            },
            81..83 => Act::Create {
                repository,
                mutability: self.dice.below(4),
            },
            83..87 => Act::Change {
                repository,
                mutability: *self.dice.one_of(&[0, 0, 0, 1, 2, 3]),
                scan: self.dice.chance(50),
            },
            87..89 => Act::SetLifecycle {
                repository,
                policy: self.dice.chance(70).then(|| self.dice.next() % 9),
            },
            89..91 => Act::DeleteRepository {
                repository,
                force: self.dice.chance(60),
            },
            91..94 => Act::RestoreRepository { repository },
            94..99 => Act::Restore {
                repository,
                document: self.document(),
            },
            99..102 => Act::RestoreBlob {
                repository,
                content: self.content(),
            },
            102..107 => Act::RollBack {
                repository,
                tag: self.tag(),
                to: self.dice.chance(50).then(|| self.document()),
            },
            107..109 => Act::Lock {
                repository,
                tag: self.tag(),
                locked: self.dice.chance(60),
            },
            109..111 => Act::Lease {
                document: self.document(),
                holder: self.dice.below(3),
                term: HOUR * *self.dice.one_of(&[1, 100]),
            },
            111..112 => Act::Release {
                document: self.document(),
                holder: self.dice.below(3),
            },
            112..116 => Act::Class {
                repository,
                document: self.document(),
                archive: self.dice.chance(60),
            },
            116..118 => Act::Pulls {
                repository,
                document: self.document(),
                age: HOUR * *self.dice.one_of(&[0, 1, 50]),
            },
            118..121 => Act::Untag {
                repository,
                document: self.document(),
                tags: self.some_tags(),
            },
            121..123 => Act::Purge {
                grace: self.grace(),
            },
            123..126 => Act::Review {
                grace: self.grace(),
            },
            126..129 => Act::Forget {
                grace: self.grace(),
            },
            129..131 => Act::Removed {
                first: self.dice.below(3),
            },
            131..133 => Act::HoldJob {
                holder: self.dice.below(3),
            },
            134..139 => Act::Policy {
                repository,
                documents: (0..=self.dice.below(4)).map(|_| self.document()).collect(),
                is_stale: self.dice.chance(10),
                archive: self.dice.chance(40),
            },
            133..134 => Act::ReleaseJob {
                holder: self.dice.below(3),
            },
            _ => Act::Ask(self.question(repository)),
        }
    }

    fn question(&mut self, repository: Repository) -> Question {
        let limit = self.limit();
        match self.dice.below(17) {
            0 => Question::Repositories {
                after: self.dice.below(6),
                limit,
            },
            1 => Question::Tags {
                repository,
                after: self.dice.below(10),
                limit,
            },
            2 => Question::Manifest {
                repository,
                document: self.document(),
            },
            3 => Question::Tagged {
                repository,
                tag: self.tag(),
            },
            4 => Question::Referrers {
                repository,
                document: *self.dice.one_of(&[0, 0, 1, 7, 12, 2]),
                kind: self.dice.below(4),
                limit,
            },
            5 => Question::Images {
                repository,
                after: self.document(),
                limit,
            },
            6 => Question::Names {
                repository,
                class: self.dice.below(3),
                tagged: self.dice.below(3),
                after: self.document(),
                limit,
            },
            7 => Question::Facts { repository },
            8 => Question::Blobs { repository },
            9 => Question::Places {
                content: self.content(),
                limit,
            },
            10 => Question::History {
                repository,
                tag: self.tag(),
                limit,
            },
            11 => Question::Trash {
                repository: self.dice.chance(70).then_some(repository),
                skip: self.dice.below(3),
                limit,
            },
            12 => Question::Leases {
                document: self.document(),
            },
            13 => Question::Plan {
                grace: self.grace(),
            },
            14 => Question::Uploads {
                age: self.grace(),
                epoch: self.dice.below(2),
            },
            15 => Question::Removals,
            _ => Question::Events,
        }
    }
}

impl Iterator for Steps<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        self.number += 1;
        let wait = match self.dice.below(20) {
            0 => HOUR * 20,
            1..5 => HOUR,
            _ => Duration::from_secs(1),
        };
        let act = self.act();
        Some(Step {
            number: self.number,
            wait,
            act,
        })
    }
}
