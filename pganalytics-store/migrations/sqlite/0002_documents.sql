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
