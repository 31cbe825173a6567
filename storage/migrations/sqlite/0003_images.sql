-- What repositories and images are besides their bytes: the settings that Amazon ECR knows, where an
-- image is in its life, and what keeps it.

-- A repository that was deleted keeps its row, and is revived by the next push to its name.
ALTER TABLE repositories ADD COLUMN deleted_at INTEGER;
ALTER TABLE repositories ADD COLUMN tag_mutability TEXT NOT NULL DEFAULT 'MUTABLE';
-- JSON: a list of patterns.
ALTER TABLE repositories ADD COLUMN mutability_filters TEXT NOT NULL DEFAULT '[]';
ALTER TABLE repositories ADD COLUMN scan_on_push INTEGER NOT NULL DEFAULT 0;
-- JSON, as it was given.
ALTER TABLE repositories ADD COLUMN encryption TEXT NOT NULL DEFAULT '{"encryptionType":"AES256"}';
-- JSON: an object of texts.
ALTER TABLE repositories ADD COLUMN resource_tags TEXT NOT NULL DEFAULT '{}';
ALTER TABLE repositories ADD COLUMN lifecycle_policy TEXT;
ALTER TABLE repositories ADD COLUMN lifecycle_evaluated_at INTEGER;

ALTER TABLE manifests ADD COLUMN last_pulled_at INTEGER;
-- STANDARD or ARCHIVE.
ALTER TABLE manifests ADD COLUMN storage_class TEXT NOT NULL DEFAULT 'STANDARD';
ALTER TABLE manifests ADD COLUMN archived_at INTEGER;
ALTER TABLE manifests ADD COLUMN activated_at INTEGER;

-- A tag that is locked keeps its image from lifecycle policies.
ALTER TABLE tags ADD COLUMN locked_at INTEGER;

-- Somebody runs this digest: nothing removes it until the lease ends.
CREATE TABLE leases (
    digest     TEXT    NOT NULL,
    holder     TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (digest, holder)
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_by_end ON leases (expires_at);

-- Settings of the registry as documents: of one kind there are several, told apart by their key.
CREATE TABLE documents (
    kind       TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    document   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
