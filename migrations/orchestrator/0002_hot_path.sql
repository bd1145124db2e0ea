-- An index on the wake-up time itself would take part in every move of a saga: its row could never
-- be updated in place (HOT), and every index of the table got a new entry each time. So wake-ups
-- are found by `look_at`, which is at most `wake_at` and stays as it is while a saga gets on.
-- Whoever finds a saga too early sets its next look.
ALTER TABLE saga ADD COLUMN look_at timestamptz;
UPDATE saga SET look_at = wake_at WHERE wake_at IS NOT NULL;
DROP INDEX saga_wake;
CREATE INDEX saga_look ON saga (look_at) WHERE look_at IS NOT NULL;
ALTER TABLE saga ADD CHECK ((look_at IS NULL) = (wake_at IS NULL));

-- Looked up once per line of history. Lines are only written together with their saga's row.
ALTER TABLE saga_event DROP CONSTRAINT saga_event_saga_id_fkey;
