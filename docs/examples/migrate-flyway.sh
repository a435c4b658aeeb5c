#!/bin/sh
# For pggit.<database>.migrateCommand: Flyway on the database that is given in libpq's variables. JDBC knows no unix sockets: the URL of
# the database has to have a host.
set -eu
FLYWAY_URL="jdbc:postgresql://$PGHOST:$PGPORT/$PGDATABASE"
FLYWAY_USER=$PGUSER
FLYWAY_PASSWORD=${PGPASSWORD-}
export FLYWAY_URL FLYWAY_USER FLYWAY_PASSWORD
exec flyway -locations=filesystem:migrations migrate
