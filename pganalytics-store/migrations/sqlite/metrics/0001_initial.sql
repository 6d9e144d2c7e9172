-- Times are microseconds since 1970-01-01 UTC; ids are the 16 bytes of a UUID.
-- Every row carries its tenant. Rows point at each other by number without
-- declared foreign keys: there is one writer, and it deletes in the right order.

-- A source as frames name it: one row for each name that a server had.
CREATE TABLE sources (
    id          INTEGER PRIMARY KEY,
    tenant      BLOB    NOT NULL,
    server_id   BLOB    NOT NULL,
    instance_id BLOB    NOT NULL,
    server      TEXT    NOT NULL,
    database    TEXT,
    collector   BLOB    NOT NULL, -- the one that spoke of it last
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX sources_key ON sources (tenant, server_id, instance_id, server, ifnull('/' || database, ''));
CREATE INDEX sources_by_collector ON sources (tenant, collector);

-- Who may speak of an instance: the collector that did so first, until it is
-- silent for long or somebody hands it over.
CREATE TABLE owners (
    tenant      BLOB    NOT NULL,
    server_id   BLOB    NOT NULL,
    instance_id BLOB    NOT NULL,
    collector   BLOB    NOT NULL,
    heard_at    INTEGER NOT NULL, -- by this server's clock, some seconds late
    PRIMARY KEY (tenant, server_id, instance_id)
) WITHOUT ROWID, STRICT;
CREATE INDEX owners_by_collector ON owners (tenant, collector);

-- What readers follow through time: one measurement of one database of one
-- member of a cluster, seen by one collector, whatever the server is called.
CREATE TABLE series (
    id          INTEGER PRIMARY KEY,
    tenant      BLOB    NOT NULL,
    measurement TEXT    NOT NULL,
    server_id   BLOB    NOT NULL,
    instance_id BLOB    NOT NULL,
    database    TEXT,
    collector   BLOB    NOT NULL,
    t_min       INTEGER NOT NULL, -- oldest scrape that is still there
    t_max       INTEGER NOT NULL, -- newest scrape
    interval    INTEGER NOT NULL, -- from it to the one that was to come
    keyframe    INTEGER           -- newest scrape that had all rows
) STRICT;
CREATE UNIQUE INDEX series_key
    ON series (tenant, measurement, server_id, instance_id, ifnull('/' || database, ''), collector);
-- Counts what a collector has, and tells whether it has a measurement.
CREATE INDEX series_by_collector ON series (tenant, collector, measurement);
-- Tells whether anything hangs on a source.
CREATE INDEX series_by_source ON series (tenant, server_id, instance_id, database);

-- Each shape that a measurement had, in order of first arrival.
CREATE TABLE schemas (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- readers remember what a number means
    tenant      BLOB    NOT NULL,
    measurement TEXT    NOT NULL,
    fingerprint INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    collector   BLOB    NOT NULL, -- the one that sent it first
    used_at     INTEGER NOT NULL, -- newest scrape or arrival of its frames, up to an hour late
    UNIQUE (tenant, measurement, fingerprint)
) STRICT;
CREATE INDEX schemas_by_collector ON schemas (tenant, collector);

-- Frames as they came in, and the blocks that they became, without their schema.
-- A frame has its place in its stream here, a block those of its scrapes in
-- itself. `data` comes last: what is before it is read without touching its
-- overflow pages.
CREATE TABLE chunks (
    id          INTEGER PRIMARY KEY,
    tenant      BLOB    NOT NULL,
    series      INTEGER NOT NULL,
    source      INTEGER NOT NULL,
    schema      INTEGER NOT NULL,
    level       INTEGER NOT NULL, -- 0: a frame as it came, 1: a compacted block
    t_min       INTEGER NOT NULL,
    t_max       INTEGER NOT NULL,
    row_count   INTEGER NOT NULL,
    byte_count  INTEGER NOT NULL,
    decoded     INTEGER NOT NULL, -- bytes of all columns, decoded
    keyframe    INTEGER, -- last scrape that had all rows
    stream      BLOB,
    seq         INTEGER,
    base        INTEGER, -- the frame before it of its series
    data        BLOB    NOT NULL
) STRICT;
-- Finds what a query needs without touching chunks that it does not need.
CREATE INDEX chunks_by_time ON chunks (series, t_min, t_max);
-- Finds what compaction has to do; blocks are not in it.
CREATE INDEX chunks_to_compact ON chunks (series, t_min) WHERE level = 0;

-- The rows of a series that were live at a scrape, as a block that begins with its last
-- keyframe: with the chunks behind it they give what is live now. It holds what all
-- chunks up to that scrape say; a frame that comes late takes it away.
CREATE TABLE heads (
    series   INTEGER PRIMARY KEY,
    chunk    INTEGER NOT NULL, -- a number that no chunk has
    source   INTEGER NOT NULL,
    schema   INTEGER NOT NULL,
    keyframe INTEGER NOT NULL, -- its first scrape
    t_max    INTEGER NOT NULL, -- its last
    data     BLOB    NOT NULL
) STRICT;

-- Chunks that can't be read, with what is known of them, as long as they would be kept.
CREATE TABLE quarantine (
    chunk       INTEGER PRIMARY KEY,
    tenant      BLOB    NOT NULL,
    collector   BLOB    NOT NULL,
    measurement TEXT    NOT NULL,
    server_id   BLOB    NOT NULL,
    instance_id BLOB    NOT NULL,
    server      TEXT    NOT NULL,
    database    TEXT,
    t_min       INTEGER NOT NULL,
    t_max       INTEGER NOT NULL,
    row_count   INTEGER NOT NULL,
    stream      BLOB,
    seq         INTEGER,
    reason      TEXT    NOT NULL,
    found_at    INTEGER NOT NULL, -- by this server's clock
    data        BLOB    NOT NULL
) STRICT;
CREATE INDEX quarantine_by_age ON quarantine (t_max);

-- Which frames were ever stored: ranges of sequence numbers. Stays until the stream has
-- been silent for longer than anything that it sent can be kept.
CREATE TABLE ledger (
    tenant    BLOB    NOT NULL,
    collector BLOB    NOT NULL,
    stream    BLOB    NOT NULL,
    first     INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    PRIMARY KEY (tenant, collector, stream, first)
) WITHOUT ROWID, STRICT;

-- Which opening of a stream gave out which of its numbers.
CREATE TABLE streams (
    tenant    BLOB    NOT NULL,
    collector BLOB    NOT NULL,
    stream    BLOB    NOT NULL,
    openings  BLOB    NOT NULL, -- of each: incarnation, first and last number; 8 bytes each, little-endian
    heard_at  INTEGER NOT NULL, -- by this server's clock, up to a day late
    PRIMARY KEY (tenant, collector, stream)
) WITHOUT ROWID, STRICT;
CREATE INDEX streams_by_age ON streams (heard_at);

-- Digests of the last frames of each stream, 64 a row.
CREATE TABLE digests (
    tenant    BLOB    NOT NULL,
    collector BLOB    NOT NULL,
    stream    BLOB    NOT NULL,
    part      INTEGER NOT NULL, -- number of the frame / 64
    digests   BLOB    NOT NULL, -- 8 bytes each, little-endian; 0: none
    PRIMARY KEY (tenant, collector, stream, part)
) WITHOUT ROWID, STRICT;

-- Streams that two senders were seen to go on with.
CREATE TABLE forks (
    tenant    BLOB    NOT NULL,
    collector BLOB    NOT NULL,
    stream    BLOB    NOT NULL,
    seq       INTEGER NOT NULL, -- of the frame that showed it last
    reason    TEXT    NOT NULL,
    first_at  INTEGER NOT NULL, -- by this server's clock
    last_at   INTEGER NOT NULL,
    times     INTEGER NOT NULL, -- pushes that were refused for it
    PRIMARY KEY (tenant, collector, stream)
) WITHOUT ROWID, STRICT;

-- Pushes without numbers that may come again, and what they were answered.
CREATE TABLE keyed_pushes (
    tenant      BLOB    NOT NULL,
    collector   BLOB    NOT NULL,
    key         BLOB    NOT NULL,
    content     BLOB    NOT NULL, -- a hash
    received_at INTEGER NOT NULL,
    reply       BLOB    NOT NULL,
    PRIMARY KEY (tenant, collector, key)
) WITHOUT ROWID, STRICT;
CREATE INDEX keyed_pushes_by_age ON keyed_pushes (received_at);

-- What streams have lost, as their agents declared it.
CREATE TABLE gaps (
    tenant    BLOB    NOT NULL,
    collector BLOB    NOT NULL,
    stream    BLOB    NOT NULL,
    seq       INTEGER NOT NULL, -- of the gap's own frame
    t_min     INTEGER NOT NULL,
    t_max     INTEGER NOT NULL,
    body      BLOB    NOT NULL, -- the frame
    PRIMARY KEY (tenant, collector, stream, seq)
) WITHOUT ROWID, STRICT;
CREATE INDEX gaps_by_age ON gaps (t_max);

-- Which frames were ever declared lost. Stays as long as the ledger.
CREATE TABLE declared (
    tenant    BLOB    NOT NULL,
    collector BLOB    NOT NULL,
    stream    BLOB    NOT NULL,
    first     INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    PRIMARY KEY (tenant, collector, stream, first)
) WITHOUT ROWID, STRICT;

-- What frames brought, for ever counted, and from when to when there is any.
CREATE TABLE totals (
    tenant       BLOB    NOT NULL,
    measurement  TEXT    NOT NULL,
    scrape_count INTEGER NOT NULL,
    row_count    INTEGER NOT NULL,
    value_count  INTEGER NOT NULL,
    t_min        INTEGER, -- NULL: none is left
    t_max        INTEGER,
    PRIMARY KEY (tenant, measurement)
) WITHOUT ROWID, STRICT;
