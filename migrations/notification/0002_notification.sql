-- How a customer wants to be told. Whoever has no row gets an e-mail at a made-up address.
CREATE TABLE customer (
    customer_id text PRIMARY KEY,
    email       text,
    -- E.164.
    phone       text,
    -- The push service's token of the customer's device.
    device      text,
    CHECK (email IS NOT NULL OR phone IS NOT NULL OR device IS NOT NULL)
);

INSERT INTO customer (customer_id, email, phone, device) VALUES
    ('cust_123', 'ada@example.test', NULL, NULL),
    ('cust_mail_sms', 'grace@example.test', '+491700000001', NULL),
    ('cust_push', NULL, NULL, 'device-barbara-1'),
    ('cust_everywhere', 'edsger@example.test', '+491700000002', 'device-edsger-1');

-- What was told, and what is about to be.
CREATE TABLE notification (
    order_id   uuid        NOT NULL,
    channel    text        NOT NULL CHECK (channel IN ('email', 'sms', 'push')),
    recipient  text        NOT NULL,
    subject    text        NOT NULL,
    body       text        NOT NULL,
    status     text        NOT NULL DEFAULT 'sending' CHECK (status IN ('sending', 'sent')),
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at    timestamptz,
    PRIMARY KEY (order_id, channel),
    CHECK ((status = 'sent') = (sent_at IS NOT NULL))
);

-- Lists go from the newest to the oldest.
CREATE INDEX notification_by_age ON notification (created_at DESC, order_id DESC, channel DESC);
