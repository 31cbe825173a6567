-- What repositories and images are besides their bytes: the settings that Amazon ECR knows, where an
-- image is in its life, and what keeps it.

-- A repository that was deleted keeps its row, and is revived by the next push to its name.
ALTER TABLE repositories ADD COLUMN deleted_at BIGINT;
ALTER TABLE repositories ADD COLUMN tag_mutability TEXT COLLATE "C" NOT NULL DEFAULT 'MUTABLE';
-- JSON: a list of patterns.
ALTER TABLE repositories ADD COLUMN mutability_filters TEXT COLLATE "C" NOT NULL DEFAULT '[]';
ALTER TABLE repositories ADD COLUMN scan_on_push BIGINT NOT NULL DEFAULT 0;
-- JSON, as it was given.
ALTER TABLE repositories ADD COLUMN encryption TEXT COLLATE "C" NOT NULL DEFAULT '{"encryptionType":"AES256"}';
-- JSON: an object of texts.
ALTER TABLE repositories ADD COLUMN resource_tags TEXT COLLATE "C" NOT NULL DEFAULT '{}';
ALTER TABLE repositories ADD COLUMN lifecycle_policy TEXT COLLATE "C";
ALTER TABLE repositories ADD COLUMN lifecycle_evaluated_at BIGINT;

ALTER TABLE manifests ADD COLUMN last_pulled_at BIGINT;
-- STANDARD or ARCHIVE.
ALTER TABLE manifests ADD COLUMN storage_class TEXT COLLATE "C" NOT NULL DEFAULT 'STANDARD';
ALTER TABLE manifests ADD COLUMN archived_at BIGINT;
ALTER TABLE manifests ADD COLUMN activated_at BIGINT;

-- A tag that is locked keeps its image from lifecycle policies.
ALTER TABLE tags ADD COLUMN locked_at BIGINT;

-- Somebody runs this digest: nothing removes it until the lease ends.
CREATE TABLE leases (
    digest     TEXT COLLATE "C" NOT NULL,
    holder     TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT           NOT NULL,
    PRIMARY KEY (digest, holder)
);
CREATE INDEX leases_by_end ON leases (expires_at);

-- Settings of the registry as documents: of one kind there are several, told apart by their key.
CREATE TABLE documents (
    kind       TEXT COLLATE "C" NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    document   TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL,
    updated_at BIGINT           NOT NULL,
    PRIMARY KEY (kind, key)
);
