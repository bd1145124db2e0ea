-- The journal: one row per saga with the state that the core decided, and its history, the events
-- that led there. Replaying the history through the core gives the row's state again.
CREATE TABLE saga (
    id          uuid        PRIMARY KEY,
    definition  text        NOT NULL,
    version     integer     NOT NULL,
    state       text        NOT NULL CHECK (state IN ('running', 'compensating', 'completed', 'compensated')),
    -- Why it goes (or went) back: {"cause", "step", "text", "detail"}.
    cause       jsonb,
    -- Where each step stands, by name, with the attempt under way and when to wake for it.
    steps       jsonb       NOT NULL,
    -- The first step that cannot go on alone.
    parked      text,
    -- What the commands are made of; grows with the replies.
    data        json        NOT NULL,
    -- The number of events in the history.
    revision    bigint      NOT NULL,
    -- Every open saga has one unless all it waits for is parked: no saga can be forgotten.
    wake_at     timestamptz,
    deadline_at timestamptz,
    traceparent text,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    CHECK ((state IN ('completed', 'compensated')) = (ended_at IS NOT NULL)),
    CHECK (ended_at IS NOT NULL OR wake_at IS NOT NULL OR parked IS NOT NULL),
    CHECK ((state IN ('compensating', 'compensated')) = (cause IS NOT NULL))
) WITH (fillfactor = 70);

CREATE INDEX saga_wake ON saga (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX saga_newest ON saga (created_at DESC, id DESC);
CREATE INDEX saga_open ON saga (created_at DESC, id DESC) WHERE ended_at IS NULL;
CREATE INDEX saga_parked ON saga (created_at DESC, id DESC) WHERE parked IS NOT NULL;

CREATE TABLE saga_event (
    saga_id uuid        NOT NULL REFERENCES saga (id) ON DELETE CASCADE,
    -- Gapless from 1.
    seq     bigint      NOT NULL,
    at      timestamptz NOT NULL,
    event   text        NOT NULL CHECK (event IN ('started', 'replied', 'woke', 'cancel-requested', 'deadline-passed', 'resume-requested')),
    step    text,
    leg     text        CHECK (leg IN ('action', 'compensation')),
    attempt integer,
    outcome text        CHECK (outcome IN ('done', 'refused', 'faulted')),
    -- The start's input, the reply's body, or the operator's reason.
    body    json,
    PRIMARY KEY (saga_id, seq)
);
