-- What was given out under a trust before valid_from counts no more.
ALTER TABLE trusts ADD COLUMN valid_from INTEGER NOT NULL DEFAULT 0;
UPDATE trusts SET valid_from = created_at;

-- Sessions that were left before their end, by the name of their token.
CREATE TABLE ended_sessions (
    id         TEXT    PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
