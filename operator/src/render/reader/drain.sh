# shellcheck shell=bash
# How the reader leaves: no new reads, idle sessions are closed, the others may end.

# The news that the pod ends takes this long to reach clients, in seconds.
QUIET_SECONDS=3

# Returns when no client has been there for a while, or after DRAIN_SECONDS.
drain() {
    local end quiet=0 half left idle
    rm -f "$STATE/eligible"
    say "The reader is not eligible: it drains for at most $DRAIN_SECONDS s."
    close_session primary
    now
    end=$((NOW + DRAIN_SECONDS * 1000))
    half=$((NOW + DRAIN_SECONDS * 500))
    while ((NOW < end && quiet < QUIET_SECONDS)); do
        # At first not between two statements of a busy session.
        idle=$((NOW < half ? 1 : 0))
        left=$(end_idle_sessions "$idle") || break
        if ((left == 0)); then
            quiet=$((quiet + 1))
        else
            quiet=0
        fi
        pause 1000
        now
    done
    if ((${left:-0} > 0)); then
        say "$left sessions are left after $DRAIN_SECONDS s: they are disconnected."
    fi
}

# Ends sessions that have been idle for $1 seconds; returns how many clients there were.
end_idle_sessions() {
    psql -XqAtw -d "$(local_conninfo)" -c "
        SELECT count(*)
        FROM (SELECT CASE WHEN state = 'idle' AND state_change <= clock_timestamp() - interval '$1 s'
                          THEN pg_terminate_backend(pid) END
              FROM pg_stat_activity
              WHERE backend_type = 'client backend' AND application_name <> 'reader-monitor') AS clients" 2>/dev/null
}
