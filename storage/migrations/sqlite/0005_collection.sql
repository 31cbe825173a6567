-- What nothing needs any more: how it is found, and the steps until its bytes go.

-- Set when no repository has the blob any more; a push takes it back.
ALTER TABLE blobs ADD COLUMN condemned_at INTEGER;
CREATE INDEX blobs_by_condemnation ON blobs (condemned_at) WHERE condemned_at IS NOT NULL;

-- When a scrub last read the bytes, and since when they are known to be wrong: such a blob is seen by
-- nobody, and the next push of it takes its place.
ALTER TABLE blobs ADD COLUMN checked_at INTEGER;
ALTER TABLE blobs ADD COLUMN quarantined_at INTEGER;
CREATE INDEX blobs_by_quarantine ON blobs (quarantined_at) WHERE quarantined_at IS NOT NULL;

-- Links to look at: does a manifest of the repository still name the blob? Filled by what may have
-- made a link needless. The look comes when a grace has passed since.
CREATE TABLE reviews (
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    blob_id       INTEGER NOT NULL REFERENCES blobs (id),
    since         INTEGER NOT NULL,
    PRIMARY KEY (repository_id, blob_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX reviews_by_time ON reviews (since);
CREATE INDEX reviews_by_blob ON reviews (blob_id);
INSERT INTO reviews (repository_id, blob_id, since)
    SELECT repository_id, blob_id, linked_at FROM blob_links;

-- The trash, the oldest first.
CREATE INDEX manifests_by_deletion ON manifests (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX repositories_by_deletion ON repositories (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX blob_links_by_deletion ON blob_links (deleted_at) WHERE deleted_at IS NOT NULL;

-- What was collected, so that it can be told why something is gone. A blob has no repository.
CREATE TABLE collected (
    id           INTEGER PRIMARY KEY,
    digest       TEXT    NOT NULL,
    repository   TEXT    NOT NULL,
    size_bytes   INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    collected_at INTEGER NOT NULL
) STRICT;
CREATE INDEX collected_by_digest ON collected (digest);
CREATE INDEX collected_by_time ON collected (collected_at);

-- Work that one server does at a time.
CREATE TABLE jobs (
    name       TEXT    PRIMARY KEY,
    holder     TEXT    NOT NULL,
    held_until INTEGER NOT NULL,
    -- When it was last taken, by the clock of who did.
    seen_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
