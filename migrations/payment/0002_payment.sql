-- One payment per order, as this service knows it. The gateway's books are the truth about money;
-- a row may lag behind them while a call is under way.
CREATE TABLE payment (
    order_id          uuid        PRIMARY KEY,
    amount            bigint      NOT NULL, -- minor units
    currency          text        NOT NULL, -- ISO 4217
    method            text        NOT NULL, -- the gateway's token, never a card number
    -- The idempotency key under which the gateway knows the authorisation.
    authorisation_key text,
    -- The gateway's id of it.
    authorisation     text,
    status            text        NOT NULL DEFAULT 'authorising' CHECK (
        status IN ('authorising', 'authorised', 'declined', 'voided', 'captured', 'refunded')
    ),
    -- Why the gateway said no, to the authorisation or to the capture.
    reason            text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    CHECK (status NOT IN ('authorised', 'captured', 'refunded') OR authorisation_key IS NOT NULL)
);

-- Lists go from the newest to the oldest.
CREATE INDEX payment_by_age ON payment (created_at DESC, order_id DESC);
