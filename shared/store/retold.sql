-- How far a publisher was asked for what it has told, so that nothing is missed when this service's
-- queue of events is lost. The same text in every service that asks; a test compares them.
CREATE TABLE retold (
    publisher   text        PRIMARY KEY,
    -- As the publisher gave it; NULL: from the beginning.
    place       text,
    -- One instance asks; after this time another one may, as the first must have died.
    taken_until timestamptz
);
