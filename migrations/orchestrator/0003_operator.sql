-- What operators do: verbs that vouch for what no participant said, who asked for them and why, and
-- the lists that they work from.

-- How often each leg may be asked, as it was when the saga began: one number for all legs, or an
-- object by step. Null in sagas older than this column: those of the definition.
ALTER TABLE saga ADD COLUMN budgets jsonb;

-- Only more words: the lines that are there need not be read for it.
ALTER TABLE saga_event DROP CONSTRAINT saga_event_event_check;
ALTER TABLE saga_event ADD CONSTRAINT saga_event_event_check CHECK (event IN ('started', 'replied', 'woke',
    'cancel-requested', 'deadline-passed', 'resume-requested', 'retry-requested', 'skip-requested',
    'force-compensate-requested')) NOT VALID;

-- Who asked for what, and what came of it, refused or not. Of an accepted one the row is written in
-- the transaction of the move itself. Nothing here is ever changed.
CREATE TABLE operator_action (
    audit_id    uuid        PRIMARY KEY,
    at          timestamptz NOT NULL,
    -- As told by whoever asked.
    by          text,
    verb        text        NOT NULL,
    reason      text        NOT NULL,
    saga_id     uuid,
    dead_letter uuid,
    -- Of a verb for many: which they were to be.
    filter      jsonb,
    accepted    boolean     NOT NULL,
    -- For people: what came of it.
    text        text        NOT NULL
);
CREATE INDEX operator_action_newest ON operator_action (at DESC, audit_id DESC);
CREATE INDEX operator_action_saga ON operator_action (saga_id, at DESC) WHERE saga_id IS NOT NULL;

-- Append-only: whoever is not the owner, which is the service, may add and read.
DO $$
DECLARE
    login text;
BEGIN
    FOR login IN
        SELECT DISTINCT grantee FROM information_schema.role_table_grants
         WHERE table_schema = current_schema() AND table_name = 'operator_action' AND grantee <> current_user
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON operator_action FROM %I', login);
    END LOOP;
END
$$;

-- For lists and counts that never read the whole past. No move of a saga changes what they are made
-- of, except the one that turns it round and the one that ends it, so moves stay in place (HOT).
CREATE INDEX saga_turned ON saga (created_at DESC, id DESC) WHERE cause IS NOT NULL;
CREATE INDEX saga_ended ON saga (ended_at) WHERE ended_at IS NOT NULL;
