-- The order service's own copy of the price list. A submitted order takes its prices from here by
-- value, so that a later change of price never touches it.
CREATE TABLE price (
    product_id text PRIMARY KEY CHECK (product_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    name text NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0), -- minor units
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$')
);

CREATE TABLE orders (
    -- Also the saga's id. Time-ordered (UUIDv7), so that newest first is the primary key backwards.
    id uuid PRIMARY KEY,
    customer_id text NOT NULL,
    items jsonb NOT NULL, -- [{product_id, name, quantity, price}], as submitted
    amount bigint NOT NULL CHECK (amount >= 0), -- minor units
    currency text NOT NULL,
    payment_method text NOT NULL,
    ship_to jsonb NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'confirmed', 'cancelled')),
    reason text, -- for the customer
    cause text,  -- for counting: the step that failed, or 'cancelled'
    tracking text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When the saga took the order into work. Until then a withdrawal needs no compensation.
    opened_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((status = 'cancelled') = (reason IS NOT NULL)),
    CHECK ((reason IS NULL) = (cause IS NULL))
);
CREATE INDEX orders_by_status ON orders (status, id);
CREATE INDEX orders_by_customer ON orders (customer_id, id);

-- What was answered to a submission that carried an Idempotency-Key. The digest recognises the
-- same body again without keeping a second copy of the customer's data.
CREATE TABLE idempotency (
    key text PRIMARY KEY,
    body_digest bytea NOT NULL, -- SHA-256 of the canonical body
    order_id uuid NOT NULL REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED,
    response text NOT NULL,     -- byte for byte
    at timestamptz NOT NULL DEFAULT now()
);

-- The sample catalogue; inventory's own migration lists the same products.
INSERT INTO price (product_id, name, amount, currency) VALUES
    ('prod_001', 'Stoneware mug, 350 ml', 1290, 'EUR'),
    ('prod_002', 'French press, 1 l', 3490, 'EUR'),
    ('prod_003', 'Pour-over kettle, 0.9 l', 5990, 'EUR'),
    ('prod_004', 'Burr coffee grinder', 12900, 'EUR'),
    ('prod_005', 'Ground coffee, 500 g', 990, 'EUR'),
    ('prod_006', 'Whole bean coffee, 1 kg', 1890, 'EUR'),
    ('prod_007', 'Green tea, 100 g', 790, 'EUR'),
    ('prod_008', 'Assam black tea, 250 g', 1150, 'EUR'),
    ('prod_009', 'Glass teapot, 1.2 l', 2990, 'EUR'),
    ('prod_010', 'Oak cutting board', 3950, 'EUR'),
    ('prod_011', 'Chef''s knife, 20 cm', 7900, 'EUR'),
    ('prod_012', 'Paring knife, 9 cm', 2450, 'EUR'),
    ('prod_013', 'Cast-iron skillet, 26 cm', 4990, 'EUR'),
    ('prod_014', 'Saucepan with lid, 2 l', 4490, 'EUR'),
    ('prod_015', 'Baking tray, 40 x 30 cm', 1690, 'EUR'),
    ('prod_016', 'Kitchen scale, 5 kg', 2790, 'EUR'),
    ('prod_017', 'Linen tea towel, set of 3', 1590, 'EUR'),
    ('prod_018', 'Beeswax food wraps, set of 4', 1490, 'EUR'),
    ('prod_019', 'Insulated bottle, 750 ml', 2690, 'EUR'),
    ('prod_020', 'Lunch box, steel', 2290, 'EUR'),
    ('prod_021', 'Salt mill, beech', 1990, 'EUR'),
    ('prod_022', 'Pepper mill, beech', 1990, 'EUR'),
    ('prod_023', 'Hand-thrown serving bowl', 8900, 'EUR'),
    ('prod_024', 'Copper moka pot, limited edition', 14900, 'EUR');
