//! What a registry has to hold, as a model knows it that was told the same.
//!
//! A request that was not answered leaves its things open; whoever looks at them next settles that.
//! A blob has to be there while an image names it that is there, and for as long as was promised to
//! whoever pushed it or was told of it; after that it may be there or not.

use crate::gauntlet::crashes::dice::Dice;

pub(super) const REPOSITORIES: usize = 3;
pub(super) const BLOBS: usize = 8;
pub(super) const IMAGES: usize = 6;
pub(super) const TAGS: usize = 4;

/// How long blobs stay that no manifest names, in seconds; the configuration of the servers.
pub(super) const GRACE: i64 = 100;
/// How long what was deleted can be restored.
pub(super) const KEEP_DELETED: i64 = 60;

/// What is known of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    There,
    Gone,
    Open,
}

/// A model of some repositories, over blobs and images that are known from the beginning.
#[derive(Debug)]
pub(super) struct Model {
    /// Which blobs an image names.
    named: Vec<[usize; 3]>,
    repositories: Vec<Repository>,
}

#[derive(Clone, Debug)]
struct Repository {
    /// What is known, and until when it was promised.
    blobs: [(Fate, i64); BLOBS],
    images: [Fate; IMAGES],
    /// Which images a tag may name.
    tags: Vec<Vec<Option<usize>>>,
}

impl Model {
    /// Empty repositories, and images of three blobs each.
    pub(super) fn new(dice: &mut Dice) -> Self {
        let mut three = || {
            let first = dice.below(BLOBS);
            [
                first,
                (first + 1 + dice.below(3)) % BLOBS,
                (first + 4) % BLOBS,
            ]
        };
        let empty = Repository {
            blobs: [(Fate::Gone, 0); BLOBS],
            images: [Fate::Gone; IMAGES],
            tags: vec![vec![None]; TAGS],
        };
        Self {
            named: (0..IMAGES).map(|_| three()).collect(),
            repositories: vec![empty; REPOSITORIES],
        }
    }

    /// The blobs that an image names.
    pub(super) fn named_by(&self, image: usize) -> [usize; 3] {
        self.named[image]
    }

    /// Whether an image that is there names a blob.
    pub(super) fn is_named(&self, repository: usize, blob: usize) -> bool {
        let images = self.repositories[repository].images.iter().zip(&self.named);
        let mut there = images.filter(|(fate, _)| **fate == Fate::There);
        there.any(|(_, blobs)| blobs.contains(&blob))
    }

    /// Whether a blob has to be there, must not be there, or may.
    pub(super) fn blob(&self, repository: usize, blob: usize, now: i64) -> Fate {
        let (fate, until) = self.repositories[repository].blobs[blob];
        match fate {
            Fate::There if now <= until || self.is_named(repository, blob) => Fate::There,
            Fate::There => Fate::Open,
            other => other,
        }
    }

    /// A blob was pushed, mounted, or said to be there.
    pub(super) fn told(&mut self, repository: usize, blob: usize, now: i64) {
        self.repositories[repository].blobs[blob] = (Fate::There, now + GRACE / 2);
    }

    /// A blob was deleted, or is seen to be gone.
    pub(super) fn lost(&mut self, repository: usize, blob: usize) {
        self.repositories[repository].blobs[blob].0 = Fate::Gone;
    }

    /// A blob may have been pushed or mounted.
    pub(super) fn may_be_told(&mut self, repository: usize, blob: usize) {
        let fate = &mut self.repositories[repository].blobs[blob].0;
        if *fate == Fate::Gone {
            *fate = Fate::Open;
        }
    }

    /// An image was pushed under a tag.
    pub(super) fn put(&mut self, repository: usize, image: usize, tag: usize) {
        let repository = &mut self.repositories[repository];
        repository.images[image] = Fate::There;
        repository.tags[tag] = vec![Some(image)];
    }

    /// An image may have been pushed under a tag.
    pub(super) fn may_be_put(&mut self, repository: usize, image: usize, tag: usize) {
        let repository = &mut self.repositories[repository];
        if repository.images[image] == Fate::Gone {
            repository.images[image] = Fate::Open;
        }
        repository.tags[tag].push(Some(image));
    }

    /// An image was deleted, with its tags. Its blobs stay for as long as it can be restored.
    pub(super) fn deleted(&mut self, repository: usize, image: usize, now: i64) {
        let blobs = self.named[image];
        let repository = &mut self.repositories[repository];
        if repository.images[image] == Fate::There {
            for blob in blobs {
                let until = &mut repository.blobs[blob].1;
                *until = (*until).max(now + KEEP_DELETED);
            }
        }
        repository.images[image] = Fate::Gone;
        for tag in &mut repository.tags {
            for named in tag.iter_mut().filter(|named| **named == Some(image)) {
                *named = None;
            }
        }
    }

    /// An image may have been deleted.
    pub(super) fn may_be_deleted(&mut self, repository: usize, image: usize) {
        let repository = &mut self.repositories[repository];
        if repository.images[image] == Fate::There {
            repository.images[image] = Fate::Open;
        }
        for tag in &mut repository.tags {
            if tag.contains(&Some(image)) {
                tag.push(None);
            }
        }
    }

    /// A tag was deleted.
    pub(super) fn untagged(&mut self, repository: usize, tag: usize) {
        self.repositories[repository].tags[tag] = vec![None];
    }

    /// What is known of an image.
    pub(super) fn image(&self, repository: usize, image: usize) -> Fate {
        self.repositories[repository].images[image]
    }

    /// Whether a tag may name this.
    pub(super) fn may_name(&self, repository: usize, tag: usize, image: Option<usize>) -> bool {
        self.repositories[repository].tags[tag].contains(&image)
    }

    /// A blob was looked at.
    pub(super) fn saw_blob(&mut self, repository: usize, blob: usize, is_there: bool) {
        self.repositories[repository].blobs[blob].0 = fate(is_there);
    }

    /// An image was looked at.
    pub(super) fn saw_image(&mut self, repository: usize, image: usize, is_there: bool) {
        self.repositories[repository].images[image] = fate(is_there);
    }

    /// A tag was looked at.
    pub(super) fn saw_tag(&mut self, repository: usize, tag: usize, image: Option<usize>) {
        self.repositories[repository].tags[tag] = vec![image];
    }

    /// How many blobs images name that are there.
    pub(super) fn needed_blobs(&self) -> usize {
        let is_needed = |blob: &usize| (0..REPOSITORIES).any(|one| self.is_named(one, *blob));
        let is_kept = |blob: &usize| {
            let mut all = self.repositories.iter().enumerate();
            is_needed(blob)
                && all.any(|(number, one)| {
                    self.is_named(number, *blob) && one.blobs[*blob].0 == Fate::There
                })
        };
        (0..BLOBS).filter(is_kept).count()
    }
}

fn fate(is_there: bool) -> Fate {
    if is_there { Fate::There } else { Fate::Gone }
}
