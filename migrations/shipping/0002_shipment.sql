-- One shipment per order, as this service knows it; the carrier's books are the truth.
CREATE TABLE shipment (
    order_id     uuid        PRIMARY KEY,
    ship_to      jsonb       NOT NULL,
    lines        jsonb       NOT NULL,
    -- The idempotency key under which the carrier knows the parcel.
    shipment_key text,
    -- The carrier's tracking number.
    tracking     text,
    status       text        NOT NULL DEFAULT 'booking' CHECK (
        status IN ('booking', 'booked', 'refused', 'cancelled')
    ),
    -- Why the carrier said no.
    reason       text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CHECK (status <> 'booked' OR (shipment_key IS NOT NULL AND tracking IS NOT NULL))
);

-- Lists go from the newest to the oldest.
CREATE INDEX shipment_by_age ON shipment (created_at DESC, order_id DESC);
