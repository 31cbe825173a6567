-- What was given out under a trust before valid_from counts no more.
ALTER TABLE trusts ADD COLUMN valid_from BIGINT NOT NULL DEFAULT 0;
UPDATE trusts SET valid_from = created_at;

-- Sessions that were left before their end, by the name of their token.
CREATE TABLE ended_sessions (
    id         TEXT COLLATE "C" PRIMARY KEY,
    expires_at BIGINT           NOT NULL
);
