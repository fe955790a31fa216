#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR
# A read replica of a PostgreSQL primary, for one pod: checks the primary, clones it, streams from it, and leaves by drain.
# It is never promoted. Where the state of its copy is in doubt, it clones again.
#
# The environment that the pod gives; times are whole seconds:
#   PRIMARY_SECRET_DIR    folder with the files host, port, user or username, password and dbname, or with the file uri
#   PRIMARY_SECRET        name of the Secret, for sentences
#   PGDATA                folder inside of the data volume
#   MAX_LAG               the lag up to which the reader is eligible for reads, from 1
#   APPLICATION_NAME      the pod's name
#   WHEN_PRIMARY_IS_GONE  `serve` (default): a reader that was eligible stays so; `fail`: until its lag passes MAX_LAG, and
#                         after CHECK_SECONDS its sessions end, too
#   DRAIN_SECONDS         how long sessions may last after SIGTERM; 30
#   PORT, LISTEN_ADDRESSES, RUN_DIR            5432, *, /var/run/postgresql
#   SSLMODE, SSLROOTCERT                       as libpq has them; they count more than those of a uri
#   TLS_DIR, TLS_SECRET   folder with the files tls.crt and tls.key, and the name of their Secret; without it the server has
#                         no TLS, and with it no connections without
#   MAX_RATE                                   as pg_basebackup has it; no limit
#   SHARED_BUFFERS, HOT_STANDBY_FEEDBACK       as PostgreSQL has them; 128MB, off
#   CHECK_SECONDS         how long a primary is asked that does not answer or has no room; 30
#   RECLONE_SECONDS       how long the WAL receiver may be kept away from a primary that answers; 60
#   TERMINATION_LOG       where the sentence goes that says why the reader ended; /dev/termination-log
#
# While it is not eligible yet, the file `checked` says that the primary can have this reader.
# Exit codes: 0 after SIGTERM. All others come with a sentence in TERMINATION_LOG: 10 where the primary or the Secret must
# be changed, 11 where the primary does not answer, 12 where it has no room for this reader, 1 for all else.
set -euo pipefail
shopt -s dotglob nullglob
export LC_ALL=C
umask 077

here="${BASH_SOURCE[0]%/*}"
source "$here/words.sh"
source "$here/secret.sh"
source "$here/check.sh"
source "$here/session.sh"
source "$here/clone.sh"
source "$here/server.sh"
source "$here/monitor.sh"
source "$here/drain.sh"

TERMINATION_LOG="${TERMINATION_LOG:-/dev/termination-log}"
: "${PRIMARY_SECRET_DIR:?}" "${PGDATA:?}" "${MAX_LAG:?}" "${APPLICATION_NAME:?}"
PORT="${PORT:-5432}"
RUN_DIR="${RUN_DIR:-/var/run/postgresql}"
LISTEN_ADDRESSES="${LISTEN_ADDRESSES:-*}"
WHEN_PRIMARY_IS_GONE="${WHEN_PRIMARY_IS_GONE:-serve}"
DRAIN_SECONDS="${DRAIN_SECONDS:-30}"
CHECK_SECONDS="${CHECK_SECONDS:-30}"
RECLONE_SECONDS="${RECLONE_SECONDS:-60}"
SHARED_BUFFERS="${SHARED_BUFFERS:-128MB}"
HOT_STANDBY_FEEDBACK="${HOT_STANDBY_FEEDBACK:-off}"
MAX_RATE="${MAX_RATE:-}"
PRIMARY_SECRET="${PRIMARY_SECRET:-of the primary}"
TLS_DIR="${TLS_DIR:-}"
TLS_SECRET="${TLS_SECRET:-of the certificate}"
SSLMODE="${SSLMODE:-}"
SSLROOTCERT="${SSLROOTCERT:-}"

# Outlives the container, as the pod's folder does.
STATE="$RUN_DIR/reader"
# libpq finds no files of the image's user there.
export HOME="$STATE"
# Exit codes.
UNSUITABLE=10
UNREACHABLE=11
NO_ROOM=12
SERVER=""
TERMINATING=""
REFUSED=""

# No server runs while the primary is checked or cloned: there is nothing to drain.
on_term() {
    TERMINATING=yes
    if [[ -z $SERVER ]]; then
        say "SIGTERM came before the reader served: it ends."
        exit 0
    fi
}

# However the reader ends, a sentence says why.
on_exit() {
    local status=$? child
    if ((status != 0)) && [[ -z $REFUSED ]]; then
        printf 'The reader ended by an error of its own, with status %s: see its log.\n' "$status" >"$TERMINATION_LOG" || true
    fi
    rm -f "$STATE/eligible"
    for child in $(jobs -p); do
        if [[ $child == "$SERVER" ]]; then
            kill -INT "$child" 2>/dev/null || true
        else
            kill -TERM "$child" 2>/dev/null || true
        fi
    done
}

validate_environment() {
    local name
    for name in MAX_LAG DRAIN_SECONDS PORT CHECK_SECONDS RECLONE_SECONDS; do
        [[ ${!name} =~ ^[0-9]+$ ]] || refuse "$name is '${!name}': set it to a whole number."
    done
    ((MAX_LAG > 0)) || refuse "MAX_LAG is 0: set it to 1 s or more."
    # It is part of a URI.
    [[ $APPLICATION_NAME =~ ^[A-Za-z0-9._-]+$ ]] ||
        refuse "APPLICATION_NAME is '$APPLICATION_NAME': use letters, digits, '.', '_' and '-' only."
    [[ $WHEN_PRIMARY_IS_GONE =~ ^(serve|fail)$ ]] ||
        refuse "WHEN_PRIMARY_IS_GONE is '$WHEN_PRIMARY_IS_GONE': set it to 'serve' or 'fail'."
    [[ $PGDATA == /*/* ]] || refuse "PGDATA is '$PGDATA': set it to a folder inside of the data volume."
}

# One life of the server, from the check of the primary until something asks for the next.
serve() {
    check_primary
    if copy_is_usable; then
        CLONED=yes
    else
        clone
    fi
    [[ -n $CLONED ]] || return 0
    start_server
    monitor
    case "$EVENT" in
        term)
            drain
            stop_server
            say "The reader has stopped."
            exit 0
            ;;
        ended) refuse_ended_server ;;
        parameters)
            say "The primary has raised a setting that the reader must follow: the server starts again with it."
            stop_server
            ;;
        gone)
            stop_server
            printf '%s\n' "$UNREACHABLE" >"$STATE/told"
            refuse_with "$UNREACHABLE" "The primary at $ADDRESS has not answered for $CHECK_SECONDS s: bring it back, or name another one in the Secret $PRIMARY_SECRET."
            ;;
        collation)
            stop_server
            refuse "The primary sorts text by version '$PRIMARY_COLLATION' of its locale and the reader by '$COLLATION', by which indexes answer wrongly: use the primary's image."
            ;;
        doubt)
            say "The copy cannot follow the primary ($DOUBT): it is cloned again."
            stop_server
            distrust_copy
            ;;
    esac
}

main() {
    validate_environment
    mkdir -p "$STATE"
    # Of a container before this one.
    rm -f "$STATE"/{eligible,checked,lag,doubt,parameters}
    trap on_term TERM INT
    trap on_exit EXIT
    # A session of psql may end while it is written to; a handler, since children would inherit an ignored signal.
    trap : PIPE
    make_pause
    while :; do
        serve
    done
}

main
