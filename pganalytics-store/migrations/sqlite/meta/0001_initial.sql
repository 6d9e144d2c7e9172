-- Times are microseconds since 1970-01-01 UTC; ids are the 16 bytes of a UUID.
-- Several processes may write: what must be one step is one transaction that begins
-- with the right to write (BEGIN IMMEDIATE).

CREATE TABLE users (
    id            BLOB    NOT NULL PRIMARY KEY,
    tenant        BLOB    NOT NULL,
    username      TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,
    role          TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

CREATE TABLE refresh_tokens (
    hash       BLOB    NOT NULL PRIMARY KEY,
    tenant     BLOB    NOT NULL,
    family     BLOB    NOT NULL,
    user       BLOB    NOT NULL,
    expires_at INTEGER NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('good', 'spent', 'revoked'))
) WITHOUT ROWID, STRICT;
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_by_user ON refresh_tokens (user);
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at);

CREATE TABLE api_tokens (
    id         BLOB    NOT NULL PRIMARY KEY,
    hash       BLOB    NOT NULL,
    tenant     BLOB    NOT NULL,
    name       TEXT    NOT NULL,
    collector  BLOB,
    user       BLOB,
    scopes     TEXT    NOT NULL, -- JSON array
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) WITHOUT ROWID, STRICT;
CREATE INDEX api_tokens_by_tenant ON api_tokens (tenant, created_at);

CREATE TABLE collectors (
    id            BLOB    NOT NULL PRIMARY KEY,
    tenant        BLOB    NOT NULL,
    name          TEXT    NOT NULL,
    hostname      TEXT    NOT NULL,
    version       TEXT    NOT NULL,
    registered_at INTEGER NOT NULL,
    last_seen     INTEGER,
    revoked       INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX collectors_by_name ON collectors (tenant, name, id);

-- Values of the whole installation, of no tenant.
CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID, STRICT;

-- What people leave in the UI: notes, preferences, saved queries.
CREATE TABLE documents (
    id      BLOB    NOT NULL PRIMARY KEY,
    tenant  BLOB    NOT NULL,
    kind    TEXT    NOT NULL,
    owner   BLOB    NOT NULL,
    began   INTEGER NOT NULL, -- the time that it is about, µs
    ended   INTEGER NOT NULL,
    body    TEXT    NOT NULL,
    CHECK (began <= ended)
) WITHOUT ROWID, STRICT;
CREATE INDEX documents_by_time ON documents (tenant, kind, began, id);
CREATE INDEX documents_by_owner ON documents (tenant, kind, owner);
