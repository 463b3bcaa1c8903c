"""The function that says whether a run would be the first of its kind, in its turn (features/runs/outputs.py)."""

from django.db import migrations

MAKE = """
CREATE FUNCTION runs_none_equal(tenant uuid, key bytea, oldest uuid, turn bigint) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, public AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(turn);
    RETURN NOT EXISTS (
        SELECT FROM runs_run r WHERE r.tenant_id = tenant AND r.cache_key = key AND r.id >= oldest
          AND (r.state = 'running' OR r.state = 'queued' AND r.batch IS NULL
               OR r.state = 'succeeded' AND r.output IS NOT NULL));
END $$;
REVOKE ALL ON FUNCTION runs_none_equal(uuid, bytea, uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION runs_none_equal(uuid, bytea, uuid, bigint) TO bespoke_app;
"""


class Migration(migrations.Migration):
    dependencies = [("runs", "0013_claims")]

    operations = [
        migrations.RunSQL(MAKE, "DROP FUNCTION runs_none_equal(uuid, bytea, uuid, bigint)"),
    ]
