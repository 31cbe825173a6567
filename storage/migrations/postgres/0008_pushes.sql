-- When a manifest was pushed last; pushed_at stays the time of its first push. Null: not since this
-- column is there.
ALTER TABLE manifests ADD COLUMN last_pushed_at BIGINT;
