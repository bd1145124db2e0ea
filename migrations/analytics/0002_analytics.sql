-- One row for each order that any event has told of.
CREATE TABLE orders (
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE, -- order of first sight; lists go backwards
    order_id uuid PRIMARY KEY,
    customer_id text NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0), -- minor units
    currency text NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'confirmed', 'cancelled')),
    reason text,
    cause text,
    seen_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Counters, so that a look at the numbers costs the same after a million orders. The one row is
-- also the turnstile: every event locks it first, so that two batches cannot deadlock.
CREATE TABLE totals (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    created bigint NOT NULL DEFAULT 0,
    confirmed bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    CHECK (created >= confirmed + cancelled)
);
INSERT INTO totals DEFAULT VALUES;

CREATE TABLE revenue (
    currency text PRIMARY KEY,
    amount bigint NOT NULL -- minor units, of confirmed orders
);

CREATE TABLE failure (
    cause text NOT NULL,  -- the step that failed, or 'cancelled'
    reason text NOT NULL, -- cut to 300 characters
    count bigint NOT NULL,
    PRIMARY KEY (cause, reason)
);
