-- What a participant of the benchmark does: one row per saga, undone by a compensation.
CREATE TABLE effect (
    saga_id uuid        PRIMARY KEY,
    amount  integer     NOT NULL,
    undone  boolean     NOT NULL DEFAULT false,
    at      timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 90);
