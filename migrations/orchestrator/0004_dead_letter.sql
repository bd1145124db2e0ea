-- What participants and orchestrators have given up on, out of their queues. One row per message,
-- however often it comes or dies: its id is made of what the message is.
CREATE TABLE dead_letter (
    id            uuid        PRIMARY KEY,
    -- Whose dead letter it is.
    participant   text        NOT NULL,
    -- The queue it was taken from before it died.
    died_in       text        NOT NULL,
    message_kind  text        NOT NULL CHECK (message_kind IN ('command', 'reply', 'start', 'event', 'unknown')),
    message_id    text,
    type          text,
    saga_id       uuid,
    definition    text,
    step          text,
    leg           text        CHECK (leg IN ('action', 'compensation')),
    attempt       integer,
    reason        text        NOT NULL,
    -- The whole chain.
    error         text        NOT NULL,
    -- Tries that were spent on it before it died.
    tries         integer     NOT NULL,
    -- (participant, type, reason), ids and numbers folded.
    fingerprint   uuid        NOT NULL,
    -- Why no participant can read it; null when one can.
    unreadable    text,
    body          bytea       NOT NULL,
    headers       json        NOT NULL,
    properties    json        NOT NULL,
    first_failure timestamptz,
    -- When it died by the clock of whoever gave it up, if that was told: the same letter again has
    -- the same stamp, and another death a later one.
    stamp         timestamptz,
    dead_at       timestamptz NOT NULL,
    collected_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- How often it has died.
    deaths        integer     NOT NULL DEFAULT 1,
    -- How often it had been replayed before its latest death.
    died_after    integer     NOT NULL,

    state         text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replaying', 'replayed', 'discarded', 'refused')),
    -- Why it was refused or discarded, or what came of its replay.
    remark        text,
    -- How often it has been replayed.
    replays       integer     NOT NULL DEFAULT 0,
    -- When its latest replay was confirmed by the broker.
    sent_at       timestamptz,
    -- Of what was replayed: whether it had its effect, or was only never heard of again.
    answered      boolean,
    -- Until then somebody is busy sending it.
    claimed_until timestamptz,
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (state NOT IN ('refused', 'discarded') OR remark IS NOT NULL),
    CHECK (state <> 'replaying' OR replays > 0),
    CHECK (state <> 'replayed' OR (sent_at IS NOT NULL AND answered IS NOT NULL))
);

CREATE INDEX dead_letter_newest ON dead_letter (dead_at DESC, id DESC);
CREATE INDEX dead_letter_open ON dead_letter (dead_at DESC, id DESC) WHERE state = 'open';
CREATE INDEX dead_letter_replaying ON dead_letter (updated_at) WHERE state = 'replaying';
CREATE INDEX dead_letter_fingerprint ON dead_letter (fingerprint, dead_at DESC, id DESC);
CREATE INDEX dead_letter_saga ON dead_letter (saga_id) WHERE saga_id IS NOT NULL;

-- A replay of many, rung after rung. Any orchestrator goes on with it when the claim has run out.
CREATE TABLE dead_letter_replay (
    id            uuid        PRIMARY KEY,
    state         text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'stopped')),
    -- Why it has stopped.
    text          text,
    matched       integer     NOT NULL,
    -- Rungs begun.
    rung          integer     NOT NULL DEFAULT 0,
    claimed_by    uuid,
    claimed_until timestamptz,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at      timestamptz,
    CHECK ((state = 'running') = (ended_at IS NULL))
);

CREATE INDEX dead_letter_replay_running ON dead_letter_replay (created_at) WHERE state = 'running';

CREATE TABLE dead_letter_replay_item (
    replay_id      uuid    NOT NULL REFERENCES dead_letter_replay (id) ON DELETE CASCADE,
    position       integer NOT NULL,
    dead_letter_id uuid    NOT NULL REFERENCES dead_letter (id) ON DELETE CASCADE,
    outcome        text    NOT NULL DEFAULT 'waiting' CHECK (outcome IN ('waiting', 'sent', 'replayed', 'refused', 'failed')),
    -- Which replay of the letter this one was.
    number         integer,
    PRIMARY KEY (replay_id, position)
);

CREATE INDEX dead_letter_replay_item_letter ON dead_letter_replay_item (dead_letter_id);
CREATE INDEX operator_action_dead_letter ON operator_action (dead_letter) WHERE dead_letter IS NOT NULL;
