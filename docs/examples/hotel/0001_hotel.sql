-- What every participant's database holds besides its own tables. The first migration of each
-- service repeats this text word for word; a test compares them.

-- One row per leg that was handled. It commits together with the effect that it stands for, so a
-- command that comes again finds the answer here and is not handled a second time.
CREATE TABLE inbox (
    saga_id uuid        NOT NULL,
    step    text        NOT NULL,
    leg     text        NOT NULL CHECK (leg IN ('action', 'compensation')),
    -- answer:    the handler's own answer, done or refused
    -- intent:    a call to the outside is on its way or was interrupted; there is no answer yet
    -- tombstone: the compensation came before the action; the action is refused if it ever comes
    -- abandoned: an intent that was compensated; a result that still comes in is refused
    kind    text        NOT NULL CHECK (kind IN ('answer', 'intent', 'tombstone', 'abandoned')),
    -- NULL while there is no answer.
    outcome text        CHECK (outcome IN ('done', 'refused')),
    -- The body of the reply, for whoever asks again.
    reply   jsonb,
    -- The events told with the reply, an array; told again with it.
    events  jsonb,
    -- What the call to the outside was prepared with.
    intent  jsonb,
    at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (saga_id, step, leg),
    CHECK ((outcome IS NULL) = (kind = 'intent'))
) WITH (fillfactor = 60); -- each row is written twice in one transaction: room for a HOT update

-- Messages that begin outside the broker (an HTTP request), stored with the state they tell of.
CREATE TABLE outbox (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message     jsonb       NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    -- A relay is sending it; after this time another one may, as the first must have died.
    taken_until timestamptz
);

-- The events that a subscriber has taken in.
CREATE TABLE seen_event (
    event_id text        PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now()
);

-- The hotel's own.
CREATE TABLE room (
    room  text PRIMARY KEY,
    -- The trip that holds it.
    trip  uuid UNIQUE,
    guest text
);

INSERT INTO room (room) VALUES ('101'), ('102');
