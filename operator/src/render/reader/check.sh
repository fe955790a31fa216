# shellcheck shell=bash
# Whether the primary can have this reader; if not, a sentence that says what to change.

# The settings in which a standby must not be below its primary, and how pg_controldata calls them.
FOLLOWED=(max_connections max_worker_processes max_wal_senders max_prepared_transactions max_locks_per_transaction)
IN_CONTROL_FILE=(max_connections max_worker_processes max_wal_senders max_prepared_xacts max_locks_per_xact)
declare -a PRIMARY_VALUES
SYSTEM_IDENTIFIER=""
SUPERUSER=""
DATABASE=""
PRIMARY_COLLATION=""

# Returns once the primary can have this reader. What may pass by itself is asked again for a while, and is then a problem.
check_primary() {
    local deadline PROBLEM LASTING KIND
    now
    deadline=$((NOW + CHECK_SECONDS * 1000))
    while :; do
        PROBLEM=""
        LASTING=yes
        KIND=$UNSUITABLE
        if ! read_secret; then
            PROBLEM=$SECRET_PROBLEM
        elif examine; then
            rm -f "$STATE/told"
            : >"$STATE/checked"
            return 0
        fi
        now
        if [[ -n $LASTING ]] || ((NOW >= deadline)); then
            tell_problem
        fi
        pause 1000
    done
}

# Ends the reader with its problem, once. Whoever starts again with the same one waits until it has passed: the kubelet
# would make each restart wait for longer, and the end of the problem would be noticed late.
tell_problem() {
    local before="" problem="$KIND ${PROBLEM%% (*}"
    # Its words may differ each time.
    [[ $KIND == "$UNSUITABLE" ]] || problem=$KIND
    [[ ! -e $STATE/told ]] || before=$(<"$STATE/told")
    [[ $problem != "$before" ]] || return 0
    printf '%s\n' "$problem" >"$STATE/told"
    refuse_with "$KIND" "$PROBLEM"
}

psql_primary() {
    timeout 20 psql -XqAtw -F $'\x1f' -v ON_ERROR_STOP=1 "$@" 2>"$STATE/error"
}

examine() {
    local row
    row=$(psql_primary -d "$CONNINFO" -v "application_name=$APPLICATION_NAME" -f "$here/check.sql") || {
        explain_connection
        return 1
    }
    examine_row "$row" || return 1
    # Needs the entry for replication in pg_hba.conf, as the clone will.
    row=$(psql_primary -d "$(conninfo_with replication=true)" -c IDENTIFY_SYSTEM) || {
        explain_connection
        return 1
    }
    SYSTEM_IDENTIFIER=${row%%$'\x1f'*}
    psql_primary -d "$CONNINFO" -f "$here/settings.sql" >"$STATE/primary.conf" || {
        explain_connection
        return 1
    }
}

examine_row() {
    local version recovery wal_level senders slots synchronous replication user tablespace image values
    IFS=$'\x1f' read -r version recovery wal_level senders slots synchronous replication user tablespace \
        SUPERUSER DATABASE PRIMARY_COLLATION values <<<"$1"
    IFS=$'\x1f' read -r -a PRIMARY_VALUES <<<"$values"
    image=$(image_version)
    if [[ $version != "$image" ]]; then
        PROBLEM="The primary at $ADDRESS is PostgreSQL $version and the reader's image is PostgreSQL $image: use an image of PostgreSQL $version."
    elif [[ $recovery == t ]]; then
        # A standby that is about to be promoted has its address already.
        LASTING=""
        PROBLEM="The server at $ADDRESS is itself a replica: name the primary in the Secret $PRIMARY_SECRET."
    elif [[ $wal_level == minimal ]]; then
        PROBLEM="The primary at $ADDRESS has wal_level = minimal: set it to 'replica' and restart the primary."
    elif [[ $replication != t ]]; then
        PROBLEM="The role '$user' must not replicate: run ALTER ROLE \"$user\" REPLICATION on the primary."
    elif [[ $synchronous == '*' ]]; then
        PROBLEM="The primary's synchronous_standby_names contains '*', by which readers would hold up commits: name its synchronous standbys one by one."
    elif [[ -n $synchronous ]]; then
        PROBLEM="The primary's synchronous_standby_names contains this reader, '$APPLICATION_NAME', which would hold up commits: take that name out."
    elif [[ -n $tablespace ]]; then
        PROBLEM="The primary has the tablespace '$tablespace', for which a reader has no volume: move its tables to pg_default and drop it."
    elif [[ -z $SUPERUSER ]]; then
        PROBLEM="The primary has no superuser that can log in, and the reader's monitor uses one on the reader's own socket: give one LOGIN."
    else
        examine_room "$senders" "$slots"
        return
    fi
    return 1
}

# The major version of PostgreSQL in the reader's image.
image_version() {
    local text
    text=$(postgres --version)
    [[ $text =~ ([0-9]+) ]]
    printf '%s' "${BASH_REMATCH[1]}"
}

# Another clone may be about to end.
examine_room() {
    local needed=2
    ! has_copy || needed=1
    if (($1 < needed)); then
        PROBLEM="The primary at $ADDRESS has room for $1 more WAL senders and the reader needs $needed: raise max_wal_senders on the primary, which is ${PRIMARY_VALUES[2]}."
    elif (($2 < 1)); then
        PROBLEM="The primary at $ADDRESS has no room for the reader's temporary slot: raise max_replication_slots on the primary, or drop slots that nobody uses."
    else
        return 0
    fi
    LASTING=""
    KIND=$NO_ROOM
    return 1
}

# The primary may speak another language: then its own words are passed on.
explain_connection() {
    local error
    error=$(<"$STATE/error")
    error=${error//$'\n'/ }
    case "$error" in
        *"password authentication failed"* | *"no password supplied"*)
            PROBLEM="The primary at $ADDRESS refuses the password: correct user and password in the Secret $PRIMARY_SECRET."
            ;;
        *"no pg_hba.conf entry for replication"* | *"pg_hba.conf rejects replication"*)
            PROBLEM="The primary at $ADDRESS lets no replication in from here: add an entry for the database 'replication' to its pg_hba.conf."
            ;;
        *"no pg_hba.conf entry"* | *"pg_hba.conf rejects"*)
            PROBLEM="The primary at $ADDRESS does not let the role of the Secret $PRIMARY_SECRET in from here: add an entry to its pg_hba.conf. (${error##*FATAL:  })"
            ;;
        *"role "*" does not exist"* | *"database "*" does not exist"*)
            PROBLEM="The primary at $ADDRESS does not know what the Secret $PRIMARY_SECRET names: correct it. (${error##*FATAL:  })"
            ;;
        *certificate* | *SSL* | *sslmode*)
            PROBLEM="The TLS connection to the primary at $ADDRESS fails: correct the TLS mode or the certificate authority. ($error)"
            ;;
        *)
            LASTING=""
            KIND=$UNREACHABLE
            PROBLEM="The primary at $ADDRESS cannot be reached for $CHECK_SECONDS s: correct host and port in the Secret $PRIMARY_SECRET, or let the network through. ($error)"
            ;;
    esac
}
