#!/bin/sh
# Starts the server of a shard, which follows its memory, its password and its certificate while it runs.
#
# The server replaces this shell, so signals reach it. What follows the files is its child, and ends with it.
# The password is in no argument of a process: it goes through a pipe, or is in the environment.
#
# $1 is the engine; the other arguments are the server's.
set -u

engine="$1"
shift
folder="${SHARD_FOLDER:-/etc/scalableapp}"
cgroup="${SHARD_CGROUP:-/sys/fs/cgroup}"
port="${SHARD_PORT:-6379}"

tls="$folder/tls"
if [ -e "$tls/tls.crt" ]; then
    has_tls=yes
else
    has_tls=
fi

# Says why the container ends.
fail() {
    echo "$1" >&2
    (echo "$1" >/dev/termination-log) 2>/dev/null
    exit 1
}

is_number() {
    case "$1" in '' | *[!0-9]*) return 1 ;; esac
}

# Bytes of the memory limit; nothing without one.
limit() {
    for file in "$cgroup/memory.max" "$cgroup/memory/memory.limit_in_bytes"; do
        if [ -r "$file" ]; then
            cat "$file"
            return
        fi
    done
}

# Bytes for data: of the declared memory, or of the limit while that is less. So data leaves before the limit shrinks, and
# comes after it has grown.
max_memory() {
    memory=$(cat "$folder/shard/memory" 2>/dev/null)
    is_number "$memory" || return 1
    limit=$(limit)
    if is_number "$limit" && [ "$limit" -lt "$memory" ]; then
        memory="$limit"
    fi
    echo $((memory * 72 / 100))
}

password() {
    cat "$folder/password/password" 2>/dev/null
}

ask() {
    printf '%s\n' "$1" | "$engine-cli" ${has_tls:+--tls --cacert "$tls/ca.crt"} -h 127.0.0.1 -p "$port" 2>/dev/null
}

# All of the certificate.
certificate() {
    cat "$tls/tls.crt" "$tls/tls.key" "$tls/ca.crt" 2>/dev/null
}

# A new password is one more: those who know only the earlier one keep their access until this server ends.
follow() {
    # The environment may have a newer one, which this server does not know yet.
    export REDISCLI_AUTH="$2"
    followed_max="$1"
    followed_password="$2"
    followed_certificate=$(certificate)
    while sleep 1 && kill -0 $$ 2>/dev/null; do
        max=$(max_memory)
        if [ -n "$max" ] && [ "$max" != "$followed_max" ]; then
            [ "$(ask "CONFIG SET maxmemory $max")" = OK ] && followed_max="$max"
        fi
        new=$(password)
        if [ -n "$new" ] && [ "$new" != "$followed_password" ]; then
            [ "$(ask "ACL SETUSER default >$new")" = OK ] && followed_password="$new"
        fi
        new=$(certificate)
        if [ -n "$new" ] && [ "$new" != "$followed_certificate" ]; then
            # The server reads the files again.
            files="tls-cert-file $tls/tls.crt tls-key-file $tls/tls.key tls-ca-cert-file $tls/ca.crt"
            [ "$(ask "CONFIG SET $files")" = OK ] && followed_certificate="$new"
        fi
    done
}

max=$(max_memory) || fail "the file memory of the ConfigMap with this script has no number of bytes"
follow "$max" "$(password)" &
if [ -n "$has_tls" ]; then
    set -- --port 0 --tls-port "$port" --tls-auth-clients no \
        --tls-cert-file "$tls/tls.crt" --tls-key-file "$tls/tls.key" --tls-ca-cert-file "$tls/ca.crt" "$@"
else
    set -- --port "$port" "$@"
fi
exec "$engine-server" "$folder/password/redis.conf" --maxmemory "$max" "$@"
