# shellcheck shell=bash
# The copy of the primary's data. `standby.signal` is written last: a folder without it is half a clone, since no primary has it.

# Of 'ScalableApp reader': the same for each reader of each app.
CLONE_LOCK=7235419027180301
CLONED=""

has_copy() {
    [[ -e $PGDATA/standby.signal && -e $PGDATA/PG_VERSION ]]
}

copy_is_usable() {
    has_copy || return 1
    local control
    control=$(pg_controldata -D "$PGDATA") || return 1
    if [[ $control =~ "Database system identifier:"\ +([0-9]+) && ${BASH_REMATCH[1]} == "$SYSTEM_IDENTIFIER" ]]; then
        say "The data folder is a copy of this primary: it is used again."
        return 0
    fi
    say "The data folder is a copy of another primary: it is cloned again."
    return 1
}

# Returns once the data folder is a copy of the primary, or without CLONED, if the primary must be checked again.
clone() {
    CLONED=yes
    wait_before_clone
    lock_primary
    [[ -n $CLONED ]] || return 0
    wipe
    say "The primary at $ADDRESS is being cloned."
    local status=0 backup arguments=(-w -D "$PGDATA" -X stream -c fast)
    [[ -z $MAX_RATE ]] || arguments+=("--max-rate=$MAX_RATE")
    # A primary may end a sender that is slow to answer after a few seconds.
    PGOPTIONS='-c wal_sender_timeout=60s' pg_basebackup -d "$CONNINFO" "${arguments[@]}" 2>"$STATE/error" &
    backup=$!
    wait "$backup" || status=$?
    close_session lock
    if ((status != 0)); then
        CLONED=""
        explain_failed_clone
        return 0
    fi
    : >"$PGDATA/postgresql.auto.conf"
    : >"$PGDATA/standby.signal"
    say "The clone is complete."
}

# Returns if the primary is gone: then the next check says so.
explain_failed_clone() {
    local error PROBLEM LASTING KIND
    error=$(tr '\n' ' ' <"$STATE/error")
    say "The clone of the primary at $ADDRESS failed: $error"
    if examine; then
        refuse "The clone of the primary at $ADDRESS failed, and is tried again: $error"
    fi
}

# From the second clone on, 5 s, 10 s and so on up to 300 s.
wait_before_clone() {
    local count=0 seconds
    [[ ! -e $STATE/clones ]] || read -r count <"$STATE/clones"
    printf '%s\n' $((count + 1)) >"$STATE/clones"
    ((count > 0)) || return 0
    seconds=$((count > 6 ? 300 : 5 << (count - 1)))
    say "This is clone $((count + 1)): it starts in $seconds s."
    pause $((seconds * 1000))
}

forget_clones() {
    [[ ! -e $STATE/clones ]] || rm -f "$STATE/clones"
}

# One clone at a time for each primary. An advisory lock belongs to a database: all readers ask in the same one.
# A session that waited inside of a statement would hold back VACUUM.
lock_primary() {
    local said=""
    open_session lock "$(conninfo_with dbname=postgres)"
    if ! ask lock "SELECT 1;" 10; then
        say "The database 'postgres' of the primary cannot be used: readers of other databases may clone at the same time."
        open_session lock "$CONNINFO"
    fi
    send lock "SET idle_session_timeout = 0;" || true
    while :; do
        if ! ask lock "SELECT pg_try_advisory_lock($CLONE_LOCK);" 10; then
            say "The primary at $ADDRESS ended the session that guards the clone: it is checked again."
            CLONED=""
            return 0
        fi
        [[ $ANSWER == f ]] || return 0
        [[ -n $said ]] || say "Another reader is being cloned from this primary: this one waits for it."
        said=yes
        pause 2000
    done
}

wipe() {
    mkdir -p "$PGDATA"
    # First what says that the copy is whole.
    rm -f -- "$PGDATA/standby.signal"
    rm -rf -- "${PGDATA:?}"/*
    chmod 0700 "$PGDATA"
}

# The next start clones again.
distrust_copy() {
    rm -f -- "$PGDATA/standby.signal"
}
