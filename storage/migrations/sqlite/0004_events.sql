-- What happened, told in the transaction that made it true, and who is told of it.

-- A sequence number is taken by changing this row, which is locked until the commit; so numbers are in
-- the order of the commits, and none appears behind a later one.
CREATE TABLE event_streams (
    name       TEXT    PRIMARY KEY,
    head       INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO event_streams (name, head, size_bytes) VALUES ('changes', 0, 0), ('pulls', 0, 0);

CREATE TABLE events (
    stream TEXT    NOT NULL,
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    -- JSON: the event.
    event  TEXT    NOT NULL,
    PRIMARY KEY (stream, seq)
) STRICT, WITHOUT ROWID;

-- Where events go. The cursor is behind the last event that needs no more telling.
CREATE TABLE endpoints (
    name            TEXT    PRIMARY KEY,
    url             TEXT    NOT NULL,
    format          TEXT    NOT NULL,
    stream          TEXT    NOT NULL,
    -- JSON: lists of patterns.
    types           TEXT    NOT NULL,
    repositories    TEXT    NOT NULL,
    sealed_secret   BLOB    NOT NULL,
    sealed_previous BLOB,
    previous_until  INTEGER,
    disabled_at     INTEGER,
    disabled_reason TEXT    NOT NULL DEFAULT '',
    cursor          INTEGER NOT NULL,
    -- Grows with every change that is not progress; who delivers begins anew then.
    revision        INTEGER NOT NULL DEFAULT 1,
    -- The server that delivers, and until when nobody else does.
    holder          TEXT    NOT NULL DEFAULT '',
    held_until      INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Events that an endpoint didn't take. They stay when the log has forgotten them.
CREATE TABLE dead_letters (
    endpoint  TEXT    NOT NULL,
    seq       INTEGER NOT NULL,
    event     TEXT    NOT NULL,
    attempts  INTEGER NOT NULL,
    reason    TEXT    NOT NULL,
    died_at   INTEGER NOT NULL,
    -- Set: it is to be sent again.
    resend_at INTEGER,
    PRIMARY KEY (endpoint, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
    id       INTEGER PRIMARY KEY,
    endpoint TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    event_id TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    -- delivered or failed.
    outcome  TEXT    NOT NULL,
    detail   TEXT    NOT NULL,
    took_us  INTEGER NOT NULL
) STRICT;
CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint, id);
