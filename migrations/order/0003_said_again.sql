-- An order waits for its saga to take it into work. When it has waited for too long, the message
-- that starts the saga is sent again, and again after twice that time.
ALTER TABLE orders
    ADD COLUMN starts_again int NOT NULL DEFAULT 0, -- how often it was
    ADD COLUMN start_again_at timestamptz;          -- not before; NULL while it was sent once

-- Endings in the order in which they are told again (/api/v1/events). Written once per order, with
-- an update that moves it in another index anyhow.
CREATE INDEX orders_by_ending ON orders (updated_at, id) WHERE status <> 'pending';
