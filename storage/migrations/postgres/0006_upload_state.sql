-- What else a store has to know to go on with an upload, in its own words; on S3 its multipart.
ALTER TABLE uploads ADD COLUMN state TEXT COLLATE "C" NOT NULL DEFAULT '';
