-- The first layout. Times are microseconds since 1970 (UTC), digests are algorithm:hex.
-- What is deleted keeps its row, with deleted_at, until its time in the trash is over.

CREATE TABLE repositories (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

-- Which digest lies where. A row here opens nothing: see blob_links.
CREATE TABLE blobs (
    id         INTEGER PRIMARY KEY,
    digest     TEXT    NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL,
    location   TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

-- A blob is seen in a repository through its link there, and in no other way.
CREATE TABLE blob_links (
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    blob_id       INTEGER NOT NULL REFERENCES blobs (id),
    linked_at     INTEGER NOT NULL,
    deleted_at    INTEGER,
    PRIMARY KEY (repository_id, blob_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_links_by_blob ON blob_links (blob_id);

-- The bytes stand last, so that a scan of the other columns does not read them.
CREATE TABLE manifests (
    id            INTEGER PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    digest        TEXT    NOT NULL,
    media_type    TEXT    NOT NULL,
    artifact_type TEXT,
    subject       TEXT,
    annotations   TEXT,
    size_bytes    INTEGER NOT NULL,
    pushed_at     INTEGER NOT NULL,
    deleted_at    INTEGER,
    bytes         BLOB    NOT NULL,
    UNIQUE (repository_id, digest)
) STRICT;
CREATE INDEX manifests_by_subject ON manifests (repository_id, subject, digest)
    WHERE subject IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX manifests_by_subject_and_type ON manifests (repository_id, subject, artifact_type, digest)
    WHERE subject IS NOT NULL AND deleted_at IS NULL;

-- What a manifest names. The content may be missing: sparse images and indexes are legal.
CREATE TABLE manifest_references (
    manifest_id INTEGER NOT NULL REFERENCES manifests (id),
    digest      TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    PRIMARY KEY (manifest_id, digest, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_references_by_digest ON manifest_references (digest);

CREATE TABLE tags (
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    name          TEXT    NOT NULL,
    manifest_id   INTEGER NOT NULL REFERENCES manifests (id),
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (repository_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_manifest ON tags (manifest_id);

-- Every move of a tag: from previous (null: it was new) to digest (null: it was deleted).
CREATE TABLE tag_history (
    id            INTEGER PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    tag           TEXT    NOT NULL,
    previous      TEXT,
    digest        TEXT,
    actor         TEXT    NOT NULL,
    changed_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX tag_history_by_tag ON tag_history (repository_id, tag, id);

-- Uploads under way. The repository may not exist yet, so it stands here by name.
CREATE TABLE uploads (
    id           TEXT    PRIMARY KEY,
    repository   TEXT    NOT NULL,
    principal    TEXT    NOT NULL,
    epoch        TEXT    NOT NULL,
    offset_bytes INTEGER NOT NULL,
    hash_state   BLOB    NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_by_principal ON uploads (principal);
CREATE INDEX uploads_by_update ON uploads (updated_at);

-- Locations whose bytes nobody needs any more, until they are removed.
CREATE TABLE removals (
    location  TEXT    PRIMARY KEY,
    queued_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
