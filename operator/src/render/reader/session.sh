# shellcheck shell=bash
# Sessions of psql that stay open: `primary`, `lock` and `local`.

declare -A SESSION_PROCESS SESSION_IN SESSION_OUT

# Opens the session $1 to $2; it may turn out later that nobody answers.
open_session() {
    local in out
    rm -f "$STATE/$1".{in,out}
    mkfifo "$STATE/$1".{in,out}
    psql -XqAtw -F $'\x1f' -d "$2" <"$STATE/$1.in" >"$STATE/$1.out" 2>"$STATE/$1.error" &
    SESSION_PROCESS[$1]=$!
    exec {in}>"$STATE/$1.in" {out}<"$STATE/$1.out"
    SESSION_IN[$1]=$in
    SESSION_OUT[$1]=$out
}

close_session() {
    [[ -n ${SESSION_PROCESS[$1]:-} ]] || return 0
    local in=${SESSION_IN[$1]} out=${SESSION_OUT[$1]}
    exec {in}>&- {out}<&-
    kill -TERM "${SESSION_PROCESS[$1]}" 2>/dev/null || true
    wait "${SESSION_PROCESS[$1]}" 2>/dev/null || true
    unset "SESSION_PROCESS[$1]" "SESSION_IN[$1]" "SESSION_OUT[$1]"
}

send() {
    { printf '%s\n' "$2" >&"${SESSION_IN[$1]}"; } 2>/dev/null
}

# Sets ANSWER to the next line, waiting for $2 seconds. Returns 1 if the session has ended, 2 if the time has passed.
receive() {
    local status=0
    IFS= read -r -t "$2" -u "${SESSION_OUT[$1]}" ANSWER || status=$?
    ((status <= 128)) || return 2
    return "$status"
}

# Sets ANSWER to the one line that a statement returns; ends the session if there is none in time.
ask() {
    if send "$1" "$2" && receive "$1" "$3"; then
        return 0
    fi
    close_session "$1"
    return 1
}
