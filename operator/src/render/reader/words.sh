# shellcheck shell=bash
# What the reader says, and how it waits.

say() {
    TZ=UTC printf '%(%Y-%m-%dT%H:%M:%SZ)T reader: %s\n' -1 "$*"
}

# Ends the reader with one sentence that says what to change.
refuse() {
    refuse_with 1 "$*"
}

# The same with an exit code, by which the operator tells the kinds apart.
refuse_with() {
    say "$2"
    printf '%s\n' "$2" >"$TERMINATION_LOG" || true
    REFUSED=yes
    exit "$1"
}

# Sets NOW, in milliseconds that no change of the clock moves.
now() {
    local uptime
    read -r uptime _ </proc/uptime
    NOW=$((10#${uptime/./} * 10))
}

# A pipe in which nothing ever comes, to wait on without a process.
make_pause() {
    rm -f "$STATE/pause"
    mkfifo "$STATE/pause"
    exec {PAUSE}<>"$STATE/pause"
}

# Waits; a trapped signal is handled after at most a second.
pause() {
    local milliseconds=$1 part
    while ((milliseconds > 0)); do
        part=$((milliseconds < 1000 ? milliseconds : 1000))
        printf -v part '%d.%03d' $((part / 1000)) $((part % 1000))
        read -r -t "$part" -u "$PAUSE" || true
        milliseconds=$((milliseconds - 1000))
    done
}
