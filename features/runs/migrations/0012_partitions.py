"""Runs, attempts and ledger by month: a function that makes what is missing, three months ahead, and its first call.

The operator may call it and do nothing else of the kind: partitions are made while everything runs, by beat, and only
the owner of the tables can. It is the one SECURITY DEFINER function (tenants/catalogue.py).
"""

from django.db import migrations

# One partition for each call, so that its locks are short; a lock that is not had within seconds is asked for again an
# hour later. Rows that came before their month had a partition are in the default one, and move. Under forced policies
# the owner sees no rows, so they are not forced while they move, in this transaction; and they move by way of a third
# table, because attaching one with rows would check its foreign keys against tenants that the owner does not see.
MAKE = """
CREATE FUNCTION make_partition(ahead integer) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public SET lock_timeout = '3s' SET row_security = on AS $$
DECLARE
    parent record; month timestamp; made text; spare text; lowest uuid; highest uuid;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('bespoke: make_partition'));
    FOR parent IN
        SELECT c.relname AS name, a.attname AS key FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname IN ('runs_run', 'runs_attempt', 'runs_ledger')
        ORDER BY c.relname
    LOOP
        FOR number IN 0 .. least(greatest(ahead, 0), 12) LOOP
            month := date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => number);
            made := parent.name || to_char(month, '_YYYY_MM');
            CONTINUE WHEN to_regclass('public.' || quote_ident(made)) IS NOT NULL;
            lowest := (lpad(to_hex((extract(epoch FROM month) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
            highest := (lpad(to_hex((extract(epoch FROM month + interval '1 month') * 1000)::bigint), 12, '0')
                        || repeat('0', 20))::uuid;
            spare := parent.name || '_default';
            EXECUTE format('LOCK TABLE public.%I, public.%I IN ACCESS EXCLUSIVE MODE', parent.name, spare);
            EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                           made, parent.name);
            EXECUTE format('CREATE TABLE public.%I (LIKE public.%I)', made || '_moving', parent.name);
            EXECUTE format('ALTER TABLE public.%I NO FORCE ROW LEVEL SECURITY', spare);
            EXECUTE format('WITH moved AS (DELETE FROM public.%1$I WHERE %2$I >= $1 AND %2$I < $2 RETURNING *)
                            INSERT INTO public.%3$I SELECT * FROM moved', spare, parent.key, made || '_moving')
                USING lowest, highest;
            EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', spare);
            EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                           parent.name, made, lowest, highest);
            EXECUTE format('INSERT INTO public.%I SELECT * FROM public.%I', made, made || '_moving');
            EXECUTE format('DROP TABLE public.%I', made || '_moving');
            EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', made);
            RETURN made;
        END LOOP;
    END LOOP;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION make_partition(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_partition(integer) TO bespoke_operator;
"""
FIRST = "DO $$ BEGIN WHILE make_partition(3) IS NOT NULL LOOP END LOOP; END $$"


class Migration(migrations.Migration):
    dependencies = [("runs", "0011_own_keys")]

    operations = [
        migrations.RunSQL(MAKE, "DROP FUNCTION make_partition(integer)"),
        migrations.RunSQL(FIRST, migrations.RunSQL.noop),
    ]
