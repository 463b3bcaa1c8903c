#!/bin/sh
# Run once by the postgres image, when its data folder is new: makes the three roles in the product's database.
# Passwords come in OWNER_PASSWORD, APP_PASSWORD and OPERATOR_PASSWORD, or in files named by OWNER_PASSWORD_FILE, …;
# BACKUP_PASSWORD too, unless backups are made from this machine alone.
# On a server that you run yourself: the same, with PGHOST, PGUSER and PGDATABASE of somebody who may create roles.
set -eu

for part in OWNER APP OPERATOR BACKUP; do
    eval "file=\${${part}_PASSWORD_FILE:-}"
    if [ -n "$file" ]; then
        eval "export ${part}_PASSWORD=\"\$(cat \"\$file\")\""
    fi
    [ "$part" = BACKUP ] || eval ": \"\${${part}_PASSWORD:?set ${part}_PASSWORD or ${part}_PASSWORD_FILE}\""
done

# \getenv, not -v: a command line shows its arguments to everybody on the machine.
psql --no-psqlrc --quiet --output /dev/null --set ON_ERROR_STOP=1 \
    --username "${POSTGRES_USER:-${PGUSER:-postgres}}" --dbname "${POSTGRES_DB:-${PGDATABASE:-bespoke}}" <<SQL
\getenv owner OWNER_PASSWORD
\getenv app APP_PASSWORD
\getenv operator OPERATOR_PASSWORD
\set backup ''
\getenv backup BACKUP_PASSWORD
SELECT set_config('bespoke.owner_password', :'owner', false),
       set_config('bespoke.app_password', :'app', false),
       set_config('bespoke.operator_password', :'operator', false),
       set_config('bespoke.backup_password', :'backup', false);
\i ${ROLES_SQL:-/deploy/roles.sql}
SQL
