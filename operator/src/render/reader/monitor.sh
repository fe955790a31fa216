# shellcheck shell=bash
# Decides each second whether the reader is eligible for reads. The readiness probe of the pod tests for the file `eligible`.
#
# The lag is known without a write on the primary: its position is asked for each second. The reader has all that the
# primary had when a position was asked for that the reader has replayed. Lag = now - the last such time, in ms.
# It grows while the primary cannot be asked, and stays near 0 on an idle primary.

GOOD_SAMPLES=3
BAD_SAMPLES=2
# For the WAL receiver to come back after the primary did.
RECEIVER_GRACE=5000
# Positions that are not replayed yet. When there are more, the newest are not noted: the lag is then over- and not understated.
MOST_POSITIONS=1000

# The flush position, and not the insert position, which may lie behind the header of a page that is never sent while idle.
PRIMARY_POSITION="SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn;"
LOCAL_STATE="SELECT pg_is_in_recovery(), coalesce(pg_last_wal_replay_lsn() - '0/0'::pg_lsn, 0), \
coalesce((SELECT status FROM pg_stat_wal_receiver), 'absent');"

reset_monitor() {
    TIMES=()
    POSITIONS=()
    OLDEST=0
    FRESH=""
    LAG=""
    ASKED=""
    ANSWERED_SINCE=""
    UNANSWERED_SINCE=""
    REPLAYED=0
    STUCK_SINCE=""
    GOOD=0
    BAD=0
    ELIGIBLE_SINCE=""
    EVENT=""
    DOUBT=""
    SERVER_ENDED=""
}

# Returns when something asks for more than a sample: with EVENT `term`, `ended`, `parameters`, `collation`, `gone` or `doubt`.
monitor() {
    local started
    reset_monitor
    while :; do
        now
        started=$NOW
        follow_secret
        follow_certificate
        sample
        # What its log tells is noted a moment later.
        if ! kill -0 "$SERVER" 2>/dev/null; then
            SERVER_ENDED=yes
            pause 500
        fi
        notice_event
        [[ -z $EVENT ]] || return 0
        now
        pause $((1000 - (NOW - started)))
    done
}

notice_event() {
    if [[ -n $TERMINATING ]]; then
        EVENT=term
    elif [[ -n $EVENT ]]; then
        return 0
    elif [[ -e $STATE/parameters ]]; then
        EVENT=parameters
    elif [[ -e $STATE/doubt ]]; then
        EVENT=doubt
        read -r DOUBT <"$STATE/doubt" || true
    elif [[ -n $SERVER_ENDED ]]; then
        EVENT=ended
    elif [[ -n $DOUBT ]]; then
        EVENT=doubt
    fi
}

# A new password is used when somebody connects next. A new address takes effect at once.
follow_secret() {
    local before=$CONNINFO
    if ! read_secret; then
        return 0
    fi
    if [[ $CONNINFO != "$before" ]]; then
        say "The Secret names another address: the reader follows the primary at $ADDRESS."
        write_settings
        kill -HUP "$SERVER" 2>/dev/null || true
        close_session primary
        ASKED=""
        ANSWERED_SINCE=""
    fi
}

# A server that cannot use a new certificate keeps the old one.
follow_certificate() {
    if [[ -n $TLS_DIR ]] && take_certificate; then
        say "The Secret $TLS_SECRET has another certificate: the server uses it for new connections."
        kill -HUP "$SERVER" 2>/dev/null || true
    fi
}

# One look at both servers, and what follows from it.
sample() {
    local recovery receiver answered=""
    if ask_primary; then
        answered=yes
        UNANSWERED_SINCE=""
    else
        UNANSWERED_SINCE=${UNANSWERED_SINCE:-$NOW}
    fi
    if ! ask_local; then
        judge bad "the reader's own server does not answer"
        return 0
    fi
    if [[ $recovery != t ]]; then
        DOUBT="it was promoted"
        return 0
    fi
    measure_lag
    notice_stuck_receiver
    if [[ -z $answered ]]; then
        without_primary
    elif [[ $receiver != streaming ]]; then
        # Not counted while it comes back.
        ((NOW - ANSWERED_SINCE < RECEIVER_GRACE)) || judge bad "its WAL receiver does not stream"
    elif [[ -z $LAG ]]; then
        judge bad "it has not caught up with the primary since its start"
    elif ((LAG > MAX_LAG * 1000)); then
        judge bad "it is $((LAG / 1000)) s behind the primary, and MAX_LAG is $MAX_LAG s"
    else
        judge good ""
    fi
}

# Notes the position of the primary at the time of the question, which may be answered some samples later.
ask_primary() {
    local status=0
    [[ -n ${SESSION_PROCESS[primary]:-} ]] || open_session primary "$CONNINFO"
    if [[ -z $ASKED ]]; then
        now
        ASKED=$NOW
        send primary "$PRIMARY_POSITION" || true
    fi
    receive primary 0.5 || status=$?
    now
    if ((status == 0)) && [[ $ANSWER =~ ^[0-9]+$ ]]; then
        note_position "$ASKED" "$ANSWER"
        ANSWERED_SINCE=${ANSWERED_SINCE:-$NOW}
        ASKED=""
        return 0
    fi
    if ((status != 2)) || ((NOW - ASKED > 5000)); then
        close_session primary
        ASKED=""
        ANSWERED_SINCE=""
    fi
    return 1
}

note_position() {
    local last=$((OLDEST + ${#TIMES[@]} - 1))
    # After a failover the new primary may be at a lower position.
    while ((last >= OLDEST && POSITIONS[last] > $2)); do
        unset "TIMES[last]" "POSITIONS[last]"
        last=$((last - 1))
    done
    if ((${#TIMES[@]} > 0)) && [[ ${POSITIONS[last]} == "$2" ]]; then
        TIMES[last]=$1
    elif ((${#TIMES[@]} < MOST_POSITIONS)); then
        TIMES[last + 1]=$1
        POSITIONS[last + 1]=$2
    fi
}

# Sets `recovery`, `receiver` and REPLAYED, of the reader's own server.
ask_local() {
    local replayed
    [[ -n ${SESSION_PROCESS[local]:-} ]] || open_session local "$(local_conninfo)"
    ask local "$LOCAL_STATE" 1 || return 1
    IFS=$'\x1f' read -r recovery replayed receiver <<<"$ANSWER"
    [[ $replayed == "$REPLAYED" ]] || STUCK_SINCE=""
    REPLAYED=$replayed
    [[ -e $STATE/started ]] || compare_collation
}

# At the first answer. A locale of another version may sort text otherwise than the indexes, which are copies.
compare_collation() {
    COLLATION=""
    if (($(image_version) >= 15)); then
        ask local "SELECT coalesce(pg_database_collation_actual_version(oid), '') FROM pg_database WHERE datname = current_database();" 1 || return 1
        COLLATION=$ANSWER
    fi
    : >"$STATE/started"
    [[ $COLLATION == "$PRIMARY_COLLATION" ]] || EVENT=collation
}

local_conninfo() {
    printf "host=%s port=%s user=%s dbname=%s application_name=reader-monitor connect_timeout=5" \
        "$(quote_word "$RUN_DIR")" "$PORT" "$(quote_word "$SUPERUSER")" "$(quote_word "$DATABASE")"
}

# Sets LAG in milliseconds, and writes it in seconds to the file `lag`.
measure_lag() {
    while ((${#TIMES[@]} > 0)) && ((POSITIONS[OLDEST] <= REPLAYED)); do
        FRESH=${TIMES[OLDEST]}
        unset "TIMES[OLDEST]" "POSITIONS[OLDEST]"
        OLDEST=$((OLDEST + 1))
    done
    now
    if [[ -n $FRESH ]]; then
        LAG=$((NOW - FRESH))
        printf '%d.%03d\n' $((LAG / 1000)) $((LAG % 1000)) >"$STATE/lag"
    fi
}

# Reads may be served from what the reader has, if the app asked for that.
without_primary() {
    if [[ $WHEN_PRIMARY_IS_GONE == fail && -n $LAG ]] && ((LAG > MAX_LAG * 1000)); then
        judge bad "the primary has not answered for $((LAG / 1000)) s"
    fi
    # It cannot become eligible without the primary, and sessions that are left would read what is stale.
    if [[ -z $ELIGIBLE_SINCE ]] && ((NOW - UNANSWERED_SINCE > CHECK_SECONDS * 1000)); then
        EVENT=gone
    fi
}

# Whatever keeps the receiver away while the primary answers, in whatever language: a new clone checks the primary first.
notice_stuck_receiver() {
    if [[ -z $answered || $receiver == streaming ]]; then
        STUCK_SINCE=""
        return 0
    fi
    STUCK_SINCE=${STUCK_SINCE:-$NOW}
    if ((NOW - STUCK_SINCE > RECLONE_SECONDS * 1000)); then
        DOUBT="its WAL receiver has not streamed for $RECLONE_SECONDS s"
    fi
}

# Counts a sample. The reader becomes eligible after three good ones in a row, and ineligible after two bad ones.
judge() {
    if [[ $1 == good ]]; then
        GOOD=$((GOOD + 1))
        BAD=0
        # A copy that was good for ten minutes was no failure of its clone.
        if [[ -n $ELIGIBLE_SINCE ]] && ((NOW - ELIGIBLE_SINCE > 600000)); then
            forget_clones
        fi
    else
        BAD=$((BAD + 1))
        GOOD=0
    fi
    if [[ -z $ELIGIBLE_SINCE ]] && ((GOOD >= GOOD_SAMPLES)); then
        ELIGIBLE_SINCE=$NOW
        : >"$STATE/eligible"
        say "The reader is eligible: it is $LAG ms behind the primary."
    elif [[ -n $ELIGIBLE_SINCE ]] && ((BAD >= BAD_SAMPLES)); then
        ELIGIBLE_SINCE=""
        rm -f "$STATE/eligible"
        say "The reader is not eligible: $2."
    elif [[ -z $ELIGIBLE_SINCE ]] && ((BAD == BAD_SAMPLES || BAD > 0 && BAD % 60 == 0)); then
        say "The reader is not eligible yet: $2."
    fi
}
