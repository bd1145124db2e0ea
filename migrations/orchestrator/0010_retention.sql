-- How far sagas have been removed because they ended long ago (`SAGA_RETENTION`): none that ended
-- later was. There is no row before the first removal. What is there without a saga and is no older
-- than this was lost, not removed; the auditor reads it.
CREATE TABLE retention (
    only_row    boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    ended_until timestamptz NOT NULL,
    removed     bigint      NOT NULL -- sagas, so far
);

-- The wake-ups and the count of sagas in flight walk over what dead rows have left in their index.
-- By default a table of five million sagas is vacuumed after a million of them; so often, it is
-- never more than a minute's work away from clean.
ALTER TABLE saga SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
