-- The three database roles that Bespoke works with, and what they may do with the database that this file is run in;
-- and a fourth, which reads every tenant's rows and writes none, for backups alone (docs/backup.md).
-- Run by psql (deploy/initdb.sh) and by psycopg (backend/local/roles.py), so it has no psql commands: its parameters
-- are settings of the session, each empty or missing when not wanted:
--   bespoke.owner_password, bespoke.app_password, bespoke.operator_password, bespoke.backup_password      to be set
--   bespoke.owner_may_create_databases                                          'yes' in tests only
-- Safe to run again. Whoever runs it must be able to create roles; the tables and their grants come from migrations.
DO $roles$
DECLARE
    part text;
    role_name text;
    secret text;
BEGIN
    FOREACH part IN ARRAY ARRAY['owner', 'app', 'operator'] LOOP
        role_name := 'bespoke_' || part;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', role_name);
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = role_name AND (rolsuper OR rolbypassrls)) THEN
            RAISE EXCEPTION 'role % is a superuser or bypasses row security: tenants would not be kept apart', role_name;
        END IF;
        secret := nullif(current_setting('bespoke.' || part || '_password', true), '');
        IF secret IS NOT NULL THEN
            EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', role_name, secret);
        END IF;
    END LOOP;

    IF current_setting('bespoke.owner_may_create_databases', true) = 'yes' THEN
        ALTER ROLE bespoke_owner CREATEDB;
    END IF;

    -- Giving a database away takes membership in the new owner, which a CREATEROLE user does not have by itself.
    IF NOT pg_has_role(current_user, 'bespoke_owner', 'MEMBER') THEN
        EXECUTE format('GRANT bespoke_owner TO %I', current_user);
    END IF;
    EXECUTE format('ALTER DATABASE %I OWNER TO bespoke_owner', current_database());
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO bespoke_app, bespoke_operator', current_database());

    -- Only a superuser, or who bypasses row security too, can make the role of backups: its right to is the point of it.
    IF (SELECT rolsuper OR (rolbypassrls AND rolcreaterole) FROM pg_roles WHERE rolname = current_user) THEN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bespoke_backup') THEN
            CREATE ROLE bespoke_backup LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION BYPASSRLS;
        END IF;
        GRANT pg_read_all_data TO bespoke_backup;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO bespoke_backup', current_database());
        secret := nullif(current_setting('bespoke.backup_password', true), '');
        IF secret IS NOT NULL THEN
            EXECUTE format('ALTER ROLE bespoke_backup LOGIN PASSWORD %L', secret);
        END IF;
    ELSIF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bespoke_backup') THEN
        RAISE NOTICE 'no role for backups: have a superuser run this file once more (docs/backup.md)';
    END IF;

    -- The schema belongs to the database's owner (pg_database_owner); the others use what is in it.
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    GRANT USAGE ON SCHEMA public TO bespoke_app, bespoke_operator;

    CREATE EXTENSION IF NOT EXISTS btree_gist;
END
$roles$;
