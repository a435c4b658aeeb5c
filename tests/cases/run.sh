#!/usr/bin/env bash
# Runs the cases with the git-pggit in a directory: `run.sh <bin> [id]...`. Without ids: all but the slow ones.
# Fails if a result differs from known-failures.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PGGIT_BIN=$(cd "${1:?directory of git-pggit}" && pwd)
CHECKOUT=$(cd "$here/../.." && pwd)
export PGGIT_BIN CHECKOUT
shift
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

# one <script>: its output, and its exit status as the last line
one() {
    local id
    id=$(basename "$1" .sh)
    cd "$CHECKOUT" && timeout --kill-after=10 300 bash "$1" >"$results/$id.out" 2>&1 </dev/null
    echo $? >"$results/$id.status"
}
export -f one
export results

known() { grep -qs "^$1 " "$here/known-failures"; }
# Selects cases with large inputs or a high use of memory.
slow() { [[ $1 == S0* || $1 == a33-* ]]; }

scripts=()
for script in "$here"/field/*.sh "$here"/security/*.sh; do
    id=$(basename "$script" .sh)
    [[ $id == lib ]] && continue
    if (($#)); then
        for wanted; do [[ $id == "$wanted" || $id == "$wanted"-* ]] && scripts+=("$script"); done
    elif ! slow "$id"; then
        scripts+=("$script")
    fi
done
((${#scripts[@]})) || { echo "no such case" >&2; exit 2; }

# The attacks need a few Python packages.
export ATTACK_VENV=${ATTACK_VENV:-$CHECKOUT/target/cases}
if [[ ${scripts[*]} == */security/* && ! -x $ATTACK_VENV/bin/python ]]; then
    python3 -m venv "$ATTACK_VENV" && "$ATTACK_VENV/bin/pip" install -q --disable-pip-version-check blake3 zstandard pynacl || exit 2
fi

printf '%s\0' "${scripts[@]}" | xargs -0 -P "${PGGIT_CASES_JOBS:-2}" -I{} bash -c 'one "$1"' _ {}

# Cases have time limits, and the load of other cases can exceed them: an unexpected result counts only if a second
# run repeats it.
for script in "${scripts[@]}"; do
    id=$(basename "$script" .sh)
    status=$(cat "$results/$id.status")
    if { [[ $status == 0 ]] && known "$id"; } || { [[ $status == 1 ]] && ! known "$id"; } || ((status > 1)); then
        echo "$id: unexpected exit status $status, runs once more"
        one "$script"
    fi
done

failed=0
for script in "${scripts[@]}"; do
    id=$(basename "$script" .sh)
    status=$(cat "$results/$id.status")
    last=$(grep -E '^(PASS|FAIL|SAFE|VULNERABLE)' "$results/$id.out" | grep -E "$([[ $status == 0 ]] && echo . || echo 'FAIL|VULNERABLE')" | tail -1)
    case $status in
    0)
        if known "$id"; then
            echo "$id: passes, and known-failures lists it: remove its line"
            failed=1
        else
            echo "$id: ${last:-ok}"
        fi
        ;;
    1)
        if known "$id"; then
            echo "$id: known: $(grep "^$id " "$here/known-failures" | cut -d' ' -f2-)"
        else
            echo "$id: ${last:-failed}"
            tail -40 "$results/$id.out" | sed 's/^/    /'
            failed=1
        fi
        ;;
    *)
        echo "$id: could not run (exit status $status)"
        tail -20 "$results/$id.out" | sed 's/^/    /'
        failed=1
        ;;
    esac
done
exit $failed
