-- Every unit that ever came in is free, reserved or shipped; the database refuses anything else.
CREATE TABLE product (
    product_id text PRIMARY KEY CHECK (product_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    name text NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0), -- price in minor units
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    initial bigint NOT NULL CHECK (initial >= 0),
    restocked bigint NOT NULL DEFAULT 0 CHECK (restocked >= 0),
    free bigint NOT NULL CHECK (free >= 0),
    reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    shipped bigint NOT NULL DEFAULT 0 CHECK (shipped >= 0),
    CONSTRAINT stock_is_conserved CHECK (initial + restocked = free + reserved + shipped)
);

-- What is held for an order. Rows stay after they are released or shipped: with `restock` they
-- explain every number in `product`.
CREATE TABLE hold (
    order_id uuid NOT NULL,
    product_id text NOT NULL REFERENCES product (product_id),
    quantity bigint NOT NULL CHECK (quantity > 0),
    status text NOT NULL DEFAULT 'held' CHECK (status IN ('held', 'released', 'shipped')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, product_id)
);

-- Every delivery that came in, with the answer given, so that the same Idempotency-Key brings the
-- same answer and adds nothing.
CREATE TABLE restock (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    idempotency_key text UNIQUE,
    product_id text NOT NULL REFERENCES product (product_id),
    quantity bigint NOT NULL CHECK (quantity > 0),
    response text, -- byte for byte; there as soon as the row can be seen
    at timestamptz NOT NULL DEFAULT now()
);

-- The sample catalogue; the order service's own migration lists the same products and prices.
INSERT INTO product (product_id, name, amount, currency, initial, free) VALUES
    ('prod_001', 'Stoneware mug, 350 ml', 1290, 'EUR', 12000, 12000),
    ('prod_002', 'French press, 1 l', 3490, 'EUR', 10000, 10000),
    ('prod_003', 'Pour-over kettle, 0.9 l', 5990, 'EUR', 10000, 10000),
    ('prod_004', 'Burr coffee grinder', 12900, 'EUR', 10000, 10000),
    ('prod_005', 'Ground coffee, 500 g', 990, 'EUR', 50000, 50000),
    ('prod_006', 'Whole bean coffee, 1 kg', 1890, 'EUR', 50000, 50000),
    ('prod_007', 'Green tea, 100 g', 790, 'EUR', 40000, 40000),
    ('prod_008', 'Assam black tea, 250 g', 1150, 'EUR', 40000, 40000),
    ('prod_009', 'Glass teapot, 1.2 l', 2990, 'EUR', 12000, 12000),
    ('prod_010', 'Oak cutting board', 3950, 'EUR', 15000, 15000),
    ('prod_011', 'Chef''s knife, 20 cm', 7900, 'EUR', 10000, 10000),
    ('prod_012', 'Paring knife, 9 cm', 2450, 'EUR', 15000, 15000),
    ('prod_013', 'Cast-iron skillet, 26 cm', 4990, 'EUR', 12000, 12000),
    ('prod_014', 'Saucepan with lid, 2 l', 4490, 'EUR', 12000, 12000),
    ('prod_015', 'Baking tray, 40 x 30 cm', 1690, 'EUR', 20000, 20000),
    ('prod_016', 'Kitchen scale, 5 kg', 2790, 'EUR', 15000, 15000),
    ('prod_017', 'Linen tea towel, set of 3', 1590, 'EUR', 25000, 25000),
    ('prod_018', 'Beeswax food wraps, set of 4', 1490, 'EUR', 25000, 25000),
    ('prod_019', 'Insulated bottle, 750 ml', 2690, 'EUR', 20000, 20000),
    ('prod_020', 'Lunch box, steel', 2290, 'EUR', 20000, 20000),
    ('prod_021', 'Salt mill, beech', 1990, 'EUR', 18000, 18000),
    ('prod_022', 'Pepper mill, beech', 1990, 'EUR', 18000, 18000),
    ('prod_023', 'Hand-thrown serving bowl', 8900, 'EUR', 3, 3),
    ('prod_024', 'Copper moka pot, limited edition', 14900, 'EUR', 0, 0);
