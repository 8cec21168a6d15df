-- The store's tables. Times are microseconds UTC; BLOB columns hold UTF-8 JSON
-- unless said otherwise. One user_version per shape of this file.

CREATE TABLE store (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  uid TEXT NOT NULL,                    -- made at random once: cursors and offsets name it
  epoch INTEGER NOT NULL,               -- raised by each engine: fences the one before
  high INTEGER NOT NULL DEFAULT 0,      -- highest number among deleted runs: never used again
  created INTEGER NOT NULL
) STRICT;

CREATE TABLE run (
  n INTEGER PRIMARY KEY,                -- order of creation
  id TEXT NOT NULL UNIQUE,
  workflow TEXT NOT NULL,
  definition TEXT NOT NULL,
  status TEXT NOT NULL,
  label TEXT,
  parent INTEGER REFERENCES run ON DELETE SET NULL,
  parent_step TEXT,
  root INTEGER NOT NULL,                -- number of the topmost caller, or its own
  depth INTEGER NOT NULL,
  rerun_of INTEGER,
  from_step TEXT,
  options BLOB,
  headers BLOB,
  input BLOB NOT NULL,
  outcome BLOB,                         -- value or error
  preview BLOB,
  attempt INTEGER NOT NULL DEFAULT 0,
  recoveries INTEGER NOT NULL DEFAULT 0,
  created INTEGER NOT NULL,
  started INTEGER,
  ended INTEGER,
  wake INTEGER,                         -- next due time while all of it is asleep
  reason TEXT,
  last INTEGER,                         -- index and digest of the terminal event
  tail BLOB,
  caller BLOB                           -- of another app: its app, run_id, step, root_run_id
) STRICT;
CREATE INDEX run_status ON run (status, n);
CREATE INDEX run_workflow ON run (workflow, n);
CREATE INDEX run_parent ON run (parent) WHERE parent IS NOT NULL;
CREATE INDEX run_label ON run (label, n) WHERE label IS NOT NULL;

-- Append-only: memo, timeline, logs and attempts of all runs. Clustered by run, so
-- that one step dirties one page.
CREATE TABLE event (
  run INTEGER NOT NULL,
  idx INTEGER NOT NULL,                 -- 1, 2, 3 … within the run
  tx INTEGER NOT NULL,                  -- idx of the run's first event in the same commit
  type TEXT NOT NULL,
  at INTEGER NOT NULL,
  step TEXT,
  attempt INTEGER,
  mark BLOB,                            -- fingerprint of the step's arguments (raw bytes)
  digest BLOB NOT NULL,                 -- chained over the run's events (raw bytes)
  data BLOB,                            -- last and small: large values live in blobs
  PRIMARY KEY (run, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE command (                  -- applied files of the inbox
  id TEXT PRIMARY KEY,
  at INTEGER NOT NULL,
  outcome BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workflow (                 -- the app's catalogue
  name TEXT PRIMARY KEY,
  definition TEXT,
  input_schema BLOB,
  output_schema BLOB,
  source TEXT,
  target TEXT,
  at INTEGER
) STRICT;

CREATE TABLE cache (                    -- outcomes of cached steps
  key BLOB PRIMARY KEY,
  run INTEGER,
  idx INTEGER,
  at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX cache_run ON cache (run);

CREATE TABLE flow (                     -- keys of flow control; limits are JSON
  key TEXT PRIMARY KEY,
  asked BLOB NOT NULL,                  -- the newest that came with an execution
  pinned BLOB,                          -- those that were set: they hold over `asked`
  paused INTEGER NOT NULL,
  held INTEGER NOT NULL,                -- nobody starts before this time …
  held_for TEXT NOT NULL,               -- … because of this
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE slot (                     -- executions that wait, run, or count in a window
  n INTEGER PRIMARY KEY,                -- order of arrival
  key TEXT NOT NULL,
  run INTEGER NOT NULL,
  step TEXT,                            -- NULL: a body before its first step
  attempt INTEGER NOT NULL,
  queued INTEGER NOT NULL,
  started INTEGER,
  ended INTEGER
) STRICT;
CREATE INDEX slot_run ON slot (run);

CREATE TABLE wait (                     -- steps that wait for an event
  run INTEGER NOT NULL,
  step TEXT NOT NULL,
  name TEXT NOT NULL,
  match BLOB,
  due INTEGER,
  PRIMARY KEY (run, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX wait_name ON wait (name);

CREATE TABLE message (                  -- events that a run has not taken yet
  run INTEGER NOT NULL,
  id TEXT NOT NULL,
  step TEXT,                            -- the wait it is for; NULL: the next that matches
  name TEXT NOT NULL,
  at INTEGER NOT NULL,
  data BLOB NOT NULL,
  UNIQUE (run, id, step)
) STRICT;
