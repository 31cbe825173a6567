-- Who calls, and what they may do. Secrets stand here hashed, or sealed with the server's key.

-- Users and robots. What was given out before valid_from counts no more.
CREATE TABLE principals (
    kind        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    secret      TEXT    NOT NULL,
    description TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    disabled    INTEGER NOT NULL,
    valid_from  INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- AWS-style keys. The principal is kind/name.
CREATE TABLE access_keys (
    id            TEXT    PRIMARY KEY,
    principal     TEXT    NOT NULL,
    sealed_secret BLOB    NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX access_keys_by_principal ON access_keys (principal);

-- What a policy is attached to: registry, repository/name, or a principal.
CREATE TABLE policies (
    target     TEXT    PRIMARY KEY,
    document   TEXT    NOT NULL,
    updated_by TEXT    NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Whose tokens of other issuers are taken, and as whom.
CREATE TABLE trusts (
    name       TEXT    PRIMARY KEY,
    document   TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The keys that sign tokens. The newest one signs; a retired one only verifies.
CREATE TABLE signing_keys (
    id         TEXT    PRIMARY KEY,
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    retired_at INTEGER
) STRICT, WITHOUT ROWID;

-- Grows with every change of the tables above, so that servers see one.
CREATE TABLE access_revision (
    id       INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO access_revision (id, revision) VALUES (1, 1);

-- Who did what, from where, and whether they were let.
CREATE TABLE audit (
    id         INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    principal  TEXT    NOT NULL,
    address    TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    resource   TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,
    request_id TEXT    NOT NULL,
    detail     TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_principal ON audit (principal, id);
CREATE INDEX audit_by_resource ON audit (resource, id);
