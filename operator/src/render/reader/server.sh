# shellcheck shell=bash
# The PostgreSQL server of the reader: its settings, its start and its stop.

# The text of a value in a configuration file.
quote_setting() {
    local text=${1//\\/\\\\}
    printf "'%s'" "${text//\'/\'\'}"
}

# None of the primary's files is used: they may lie outside of its data folder, and name what is not here.
write_settings() {
    {
        cat "$STATE/primary.conf"
        followed_settings
        cat <<SETTINGS
listen_addresses = $(quote_setting "$LISTEN_ADDRESSES")
port = $PORT
unix_socket_directories = $(quote_setting "$RUN_DIR")
unix_socket_permissions = 0700
hba_file = $(quote_setting "$STATE/pg_hba.conf")
ident_file = $(quote_setting "$STATE/pg_ident.conf")
cluster_name = $(quote_setting "$APPLICATION_NAME")
shared_buffers = $(quote_setting "$SHARED_BUFFERS")
hot_standby = on
hot_standby_feedback = $(quote_setting "$HOT_STANDBY_FEEDBACK")
max_standby_streaming_delay = 30s
primary_conninfo = $(quote_setting "$CONNINFO")
wal_receiver_create_temp_slot = on
wal_receiver_status_interval = 1s
wal_receiver_timeout = 10s
wal_retrieve_retry_interval = 1s
recovery_target_timeline = 'latest'
archive_mode = off
$(tls_settings)
logging_collector = off
log_destination = 'stderr'
# watch_log knows lines by their start, which no client can write.
log_line_prefix = '%b %m [%p] '
lc_messages = 'C'
SETTINGS
    } >"$STATE/postgresql.conf"
}

tls_settings() {
    if [[ -z $TLS_DIR ]]; then
        printf 'ssl = off\n'
    else
        printf 'ssl = on\nssl_cert_file = %s\nssl_key_file = %s\n' \
            "$(quote_setting "$STATE/tls.crt")" "$(quote_setting "$STATE/tls.key")"
    fi
}

# Copies the certificate and its key: the server takes no key that others may read. Fails if nothing is new.
take_certificate() {
    [[ -s $TLS_DIR/tls.crt && -s $TLS_DIR/tls.key ]] || return 1
    local name changed=""
    for name in tls.crt tls.key; do
        [[ -e $STATE/$name && $(<"$TLS_DIR/$name") == "$(<"$STATE/$name")" ]] || changed=yes
    done
    [[ -n $changed ]] || return 1
    cp "$TLS_DIR/tls.crt" "$STATE/tls.crt"
    cp "$TLS_DIR/tls.key" "$STATE/tls.key"
    chmod 0600 "$STATE"/tls.{crt,key}
}

# The greater of what the primary has now and what the copy has seen of it.
followed_settings() {
    local control index value
    control=$(pg_controldata -D "$PGDATA")
    for index in "${!FOLLOWED[@]}"; do
        value=${PRIMARY_VALUES[index]}
        if [[ $control =~ ${IN_CONTROL_FILE[index]}\ setting:\ +([0-9]+) ]] && ((BASH_REMATCH[1] > value)); then
            value=${BASH_REMATCH[1]}
        fi
        printf '%s = %s\n' "${FOLLOWED[index]}" "$value"
    done
}

# The monitor alone comes by the socket, whose folder no other container has. The exporter comes from the same pod.
write_access() {
    local host="host all all all"
    [[ -z $TLS_DIR ]] || host=$'host all all samehost scram-sha-256\nhostssl all all all'
    printf 'local all "%s" trust\n%s scram-sha-256\n' "${SUPERUSER//\"/\"\"}" "$host" >"$STATE/pg_hba.conf"
    : >"$STATE/pg_ident.conf"
}

start_server() {
    write_settings
    write_access
    if [[ -n $TLS_DIR ]]; then
        [[ -s $TLS_DIR/tls.crt && -s $TLS_DIR/tls.key ]] ||
            refuse "The Secret $TLS_SECRET lacks 'tls.crt' or 'tls.key': give it the certificate of the read replicas and its key."
        take_certificate || true
    fi
    : >"$PGDATA/postgresql.auto.conf"
    # Of a container before this one, in which the process ids meant others.
    rm -f "$PGDATA/postmaster.pid" "$RUN_DIR/.s.PGSQL.$PORT" "$RUN_DIR/.s.PGSQL.$PORT.lock"
    rm -f "$STATE"/{certificate,doubt,parameters,started}
    local server=(postgres -D "$PGDATA" -c "config_file=$STATE/postgresql.conf")
    # A copy is not in doubt for a setting that is wrong.
    "${server[@]}" -C port >/dev/null 2>"$STATE/error" ||
        refuse "The reader's settings are wrong: correct SHARED_BUFFERS, or use the primary's image. ($(tr '\n' ' ' <"$STATE/error"))"
    "${server[@]}" </dev/null 2> >(watch_log) &
    SERVER=$!
}

# Passes the server's log on, and notes what the monitor must act on.
watch_log() {
    local line
    while IFS= read -r line; do
        printf '%s\n' "$line"
        case "$line" in
            startup*"insufficient parameter settings"* | startup*"is a lower setting than on the primary"*)
                : >"$STATE/parameters"
                ;;
            postmaster*"certificate file"* | postmaster*"private key file"* | postmaster*"check of private key failed"*)
                printf '%s\n' "${line#*] }" >"$STATE/certificate"
                ;;
            walreceiver*"has already been removed"* | \
                walreceiver*"system identifier differs"* | \
                walreceiver*"is behind recovery timeline"* | \
                walreceiver*"requested starting point"* | \
                walreceiver*"is not in this server's history"* | \
                startup*"forked off current database system timeline"* | \
                startup*"is not a child of this server's history"*)
                printf '%s\n' "${line#*] }" >"$STATE/doubt"
                ;;
        esac
    done
}

# Clients that are still there are disconnected.
stop_server() {
    rm -f "$STATE/eligible"
    close_session primary
    close_session local
    kill -INT "$SERVER" 2>/dev/null || true
    # A trapped signal interrupts a wait.
    while kill -0 "$SERVER" 2>/dev/null; do
        wait "$SERVER" || true
    done
    SERVER=""
}

# A server that never came up may have a broken copy; one that did was ended from outside.
refuse_ended_server() {
    local status=0
    wait "$SERVER" || status=$?
    SERVER=""
    if [[ ! -e $STATE/started && -e $STATE/certificate ]]; then
        rm -f "$STATE"/tls.{crt,key}
        refuse "The certificate in the Secret $TLS_SECRET cannot be used: correct 'tls.crt' and 'tls.key'. ($(<"$STATE/certificate"))"
    fi
    [[ -e $STATE/started ]] || distrust_copy
    refuse "The reader's server ended by itself with status $status: see its log."
}
