# Throw-away PostgreSQL clusters for shell scripts; to be sourced.
#
# `cluster_start <dir> [-c name=value]...` makes and starts a cluster below <dir>. The cluster listens on a unix
# socket only. It exports PGHOST, PGUSER and a PATH with the programs of the same version.
# `cluster_stop` stops it. For root, the server runs as the user `postgres`, because PostgreSQL refuses to run as
# root.

# shellcheck shell=bash

# Prints the directory of the PostgreSQL programs; the tests look in the same places.
cluster_bindir() {
    local candidate
    for candidate in "${PGGIT_TEST_PGBIN:-$(pg_config --bindir 2>/dev/null || true)}" \
        $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -t/ -k5,5nr); do
        if [[ -x $candidate/initdb ]]; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    echo 'no PostgreSQL found: install the server or set PGGIT_TEST_PGBIN to its bin directory' >&2
    return 1
}

cluster_as_owner() {
    if [[ $(id -u) -eq 0 ]]; then
        # The user of the server may not have access to our directory for temporary files.
        (cd / && runuser -u postgres -- env -u TMPDIR "$@")
    else
        "$@"
    fi
}

cluster_start() {
    local parent=$1 log socket_path
    shift
    CLUSTER_BINDIR=$(cluster_bindir)
    CLUSTER_DIR=$parent/server
    # The path of a socket has at most 107 bytes, and the user of the server needs access to it.
    socket_path=$CLUSTER_DIR/.s.PGSQL.5432
    mkdir -p "$CLUSTER_DIR"
    if [[ ${#socket_path} -gt 100 ]] || ! cluster_as_owner test -x "$CLUSTER_DIR" 2>/dev/null; then
        rmdir "$CLUSTER_DIR"
        CLUSTER_DIR=$(mktemp -d /tmp/pggit-server.XXXXXX)
    fi
    chmod 755 "$CLUSTER_DIR"
    if [[ $(id -u) -eq 0 ]]; then
        chown postgres: "$CLUSTER_DIR"
    fi
    log=$CLUSTER_DIR/log
    cluster_as_owner "$CLUSTER_BINDIR/initdb" -D "$CLUSTER_DIR/data" -A trust -U postgres --no-locale -E UTF8 \
        --no-sync --no-instructions >/dev/null
    # Settings go into the file: on the command line, a path with a space would need three levels of quotes.
    {
        printf "listen_addresses = ''\n"
        printf "unix_socket_directories = '\"%s\"'\n" "${CLUSTER_DIR//\'/\'\'}"
        printf 'fsync = off\nfull_page_writes = off\nsynchronous_commit = off\n'
    } | cluster_as_owner tee -a "$CLUSTER_DIR/data/postgresql.conf" >/dev/null
    if ! cluster_as_owner "$CLUSTER_BINDIR/pg_ctl" -w -D "$CLUSTER_DIR/data" -l "$log" -o "$*" start \
        >/dev/null 2>&1 </dev/null; then
        echo "the server does not start:" >&2
        cat "$log" >&2
        return 1
    fi
    export PGHOST=$CLUSTER_DIR PGUSER=postgres PATH=$CLUSTER_BINDIR:$PATH
}

cluster_stop() {
    if [[ -n ${CLUSTER_DIR:-} ]]; then
        cluster_as_owner "$CLUSTER_BINDIR/pg_ctl" -m immediate -D "$CLUSTER_DIR/data" stop >/dev/null 2>&1 || true
        rm -rf "$CLUSTER_DIR"
    fi
}
