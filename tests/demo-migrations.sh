#!/usr/bin/env bash
# The demonstration of docs/migrations.md, and the test of all migration tools that can be installed:
# `demo-migrations.sh <directory of git-pggit> [<tool>...]`.
#
# Each tool has a history of eight migrations in tests/migration-tools. The real tool applies the first three, and then
# two more, to a database. A backup is made after each. Both backups are restored to the eighth commit. If git-pggit can
# run the migrations itself, it does; otherwise the tool runs as pggit.<database>.migrateCommand, and without the command
# the restore has to be refused before anything is restored. Then the real tool itself has to find nothing to do, has to
# apply a ninth migration, and the schema has to be the one that the tool makes from nothing.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/demo-stage.sh"
trap 'leave_nothing $?' EXIT

tools=$stage_dir/migration-tools
run=$tools/run.sh
log=$sandbox/log
shift
if [[ $# -gt 0 ]]; then wanted=("$@"); else
    wanted=()
    for steps in "$tools"/*/steps; do wanted+=("$(basename "$(dirname "$steps")")"); done
fi

say 'starting a PostgreSQL server in the sandbox'
cluster_start "$sandbox/server"
export PGUSER=postgres
# The programs of the tools make connections by a URL.
url_of() { printf 'postgresql://postgres@/%s?host=%s&port=%s' "$1" "${PGHOST//\//%2F}" "${PGPORT:-5432}"; }

# quietly <what> <command>...: prints the output only if the command fails.
quietly() {
    local what=$1
    shift
    if ! "$@" >"$log" 2>&1; then
        printf '%s failed:\n' "$what" >&2
        sed 's/^/    /' "$log" >&2
        return 1
    fi
}

schema_of() { pg_dump --schema-only --no-owner "$1" | sed '/^\\\(un\)\?restrict /d; /^--/d; /^$/d'; }

# Commits the files of a step in the repository of the tool.
commit_step() {
    "$tools/checkout.sh" "$tool" "$1" "$1" .
    git add -A
    next_day git commit -q -m "step $1"
    git tag "step-$1"
}

try_tool() {
    local tool=$1 name=${1//-/_} from way refused recognised proof database
    mkdir -p "$sandbox/$tool"
    git init -q "$sandbox/$tool/repository"
    cd "$sandbox/$tool/repository"
    for step in 1 2 3 4 5 6 7 8; do commit_step "$step"; done
    database=${name}_live
    createdb "$database"
    git config pggit.shop.url "$(url_of "$database")"
    quietly "store of $tool" git pggit store init "$sandbox/$tool/store"
    git config pggit.store "$sandbox/$tool/store"
    for step in 3 5; do
        git worktree add -q "$sandbox/$tool/at" "step-$step"
        quietly "$tool, step $step" "$run" "$tool" migrate "$sandbox/$tool/at" "$(url_of "$database")"
        git worktree remove --force "$sandbox/$tool/at"
        quietly "backup of step $step" git pggit backup create --database shop --name "step-$step"
        # The commit is derived from the table of the tool.
        git pggit backup show "step-$step" --json >"$sandbox/$tool/shown"
        [[ $(field commit) == "$(git rev-parse "step-$step")" ]] || {
            echo "$tool: the backup of step $step belongs to another commit: $(field metadata)" >&2
            return 1
        }
    done
    recognised=$(git pggit migrations step-8 --database shop --json | /usr/bin/python3 -c 'import json, sys
one = json.load(sys.stdin); print(one["tool"])')
    [[ $recognised == "$tool" ]] || { echo "$tool was recognised as $recognised" >&2; return 1; }
    # What the tool makes from nothing, with all nine.
    createdb "${name}_nothing"
    git worktree add -q "$sandbox/$tool/all" step-8
    quietly "$tool, all" "$run" "$tool" ninth "$sandbox/$tool/all" "$(url_of "${name}_nothing")"
    schema_of "${name}_nothing" >"$sandbox/$tool/expected"
    for from in 3 5; do
        refused=no way='git-pggit'
        database=${name}_from_$from
        if ! restore "$from" "$database" 2>"$log"; then
            refused=$(/usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["error"]["message"])' <"$log")
            if [[ -n $(psql -XAtq -l | grep "^${name}_from_$from" || true) ]]; then
                echo "$tool: the refused restore has left a database" >&2
                return 1
            fi
            # The usual command of a tool is used if its program is in PATH; the others are below the target directory.
            if [[ $tool == sqitch ]]; then
                way='sqitch'
                git config pggit.shop.migrationTool "$tool"
            else
                way='its command'
                # shellcheck disable=SC2016 # for the shell of the command
                git config pggit.shop.migrateCommand \
                    "sh -c 'exec \"\$1\" \"\$2\" migrate . \"\$DATABASE_URL\"' sh $(printf %q "$run") $tool"
            fi
            quietly "$tool, restore of step $from" restore "$from" "$database"
            git config --unset pggit.shop.migrateCommand || git config --unset pggit.shop.migrationTool
        fi
        proof=$(field proof | /usr/bin/python3 -c 'import ast, sys
proof = ast.literal_eval(sys.stdin.read()); print(proof["level"] + ":", proof["text"])')
        git worktree add -q "$sandbox/$tool/again" step-8
        quietly "$tool, status after a restore from step $from" \
            "$run" "$tool" status "$sandbox/$tool/again" "$(url_of "$database")"
        quietly "$tool, ninth migration after a restore from step $from" \
            "$run" "$tool" ninth "$sandbox/$tool/again" "$(url_of "$database")"
        git worktree remove --force "$sandbox/$tool/again"
        schema_of "$database" >"$sandbox/$tool/actual"
        diff -u "$sandbox/$tool/expected" "$sandbox/$tool/actual" || { echo "$tool: the schema differs" >&2; return 1; }
    done
    printf '%-18s %-12s %-9s %-9s %s\n' "$tool" "$way" 'none' 'applied' "${proof:-no proof}"
    [[ $refused == no ]] || printf '%18s without it: %s\n' '' "$refused"
}

# restore <step> <database>: restores the backup of a step to the eighth commit.
restore() {
    git pggit backup restore "step-$1" --commit step-8 --into "$2" --json >"$sandbox/$tool/shown"
}

# Prints a field of the last JSON.
field() {
    /usr/bin/python3 -c 'import json, sys
print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$sandbox/$tool/shown" "$1"
}

chapter 'backups at migrations 3 and 5, restored to migration 8'
printf '%-18s %-12s %-9s %-9s %s\n' TOOL 'RUN BY' 'PENDING' '9TH' PROOF
failed=()
for tool in "${wanted[@]}"; do
    # A subshell, so that `set -e` ends only the test of this tool.
    set +e
    (set -e; try_tool "$tool")
    [[ $? -eq 0 ]] || failed+=("$tool")
    set -e
done
if [[ ${#failed[@]} -gt 0 ]]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
