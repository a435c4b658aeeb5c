#!/bin/sh
# For pggit.<database>.migrateCommand: the files of migrations/ that the commit has and the database lacks, by their names, in one
# transaction. The database is the one of PGHOST, PGPORT, PGUSER and PGDATABASE.
set -eu

wanted() {
    if [ -n "${PGGIT_FROM_COMMIT-}" ]; then
        git diff -z --name-only --diff-filter=A "$PGGIT_FROM_COMMIT" "$PGGIT_COMMIT" -- 'migrations/*.sql'
    else
        git ls-files -z -- 'migrations/*.sql'
    fi
}

wanted | sort -z | sed -z 's/^/--file=/' |
    xargs -0 -r psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --single-transaction
