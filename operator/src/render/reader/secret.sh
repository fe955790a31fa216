# shellcheck shell=bash
# How the primary is reached, from the files of the mounted Secret. The password goes into a passfile and nowhere else.

CONNINFO=""
ADDRESS=""
SECRET_PROBLEM=""
SECRET_SEEN=""

# Reads the Secret. Sets CONNINFO, which has no password, and ADDRESS, for sentences.
# Fails with SECRET_PROBLEM.
read_secret() {
    local uri password="" conninfo="" address="" name content seen=""
    if [[ -n $SSLROOTCERT && ! -s $SSLROOTCERT ]]; then
        SECRET_PROBLEM="The Secret $PRIMARY_SECRET lacks '${SSLROOTCERT##*/}': add the certificate of the authority that signed the primary's."
        return 1
    fi
    for name in uri host port user username password dbname; do
        secret_file content "$name"
        seen+="$name=$content"$'\n'
    done
    [[ $seen != "$SECRET_SEEN" ]] || return 0
    secret_file uri uri
    if [[ -n $uri ]]; then
        take_uri "$uri" || return 1
    else
        take_files || return 1
    fi
    ADDRESS=$address
    write_passfile "$password"
    CONNINFO=$conninfo
    SECRET_SEEN=$seen
}

# Sets the variable $1 to the content of the Secret's file $2, without the line end; to nothing if there is no file.
secret_file() {
    local -n text_of_file=$1
    text_of_file=""
    [[ -e $PRIMARY_SECRET_DIR/$2 ]] || return 0
    IFS= read -r -d '' text_of_file <"$PRIMARY_SECRET_DIR/$2" || true
    text_of_file="${text_of_file%$'\n'}"
    text_of_file="${text_of_file%$'\r'}"
}

take_files() {
    local host port user dbname name
    secret_file host host
    secret_file port port
    secret_file user user
    [[ -n $user ]] || secret_file user username
    secret_file dbname dbname
    secret_file password password
    if [[ -z $host || -z $user ]]; then
        SECRET_PROBLEM="The Secret $PRIMARY_SECRET lacks 'host' or 'user': give it host, user and password, or a uri."
        return 1
    fi
    port=${port:-5432}
    dbname=${dbname:-postgres}
    for name in host port user dbname; do
        conninfo+="$name=$(quote_word "${!name}") "
    done
    for name in $(parameters); do
        conninfo+="$name "
    done
    address="$host:$port"
}

# Of the forms that libpq takes; all but the password is left to it.
take_uri() {
    local rest=${1#*://} userinfo="" query="" pair
    if [[ ! $1 =~ ^postgres(ql)?:// ]]; then
        SECRET_PROBLEM="The 'uri' in the Secret $PRIMARY_SECRET does not start with 'postgres://': correct it."
        return 1
    fi
    if [[ ${rest%%/*} == *@* ]]; then
        userinfo=${rest%%@*}
        rest=${rest#*@}
    fi
    [[ $userinfo != *:* ]] || password=$(percent_decode "${userinfo#*:}")
    userinfo=${userinfo%%:*}
    if [[ $rest == *\?* ]]; then
        query=${rest#*\?}
        rest=${rest%%\?*}
    fi
    if ! is_address "${rest%%/*}" || [[ $rest == *@* ]]; then
        # What looks like a host may be a part of the password: it is not repeated.
        SECRET_PROBLEM="The 'uri' in the Secret $PRIMARY_SECRET has no readable host and port: percent-encode special characters of the password, such as / as %2F."
        return 1
    fi
    conninfo="postgres://${userinfo:+$userinfo@}$rest?"
    local pairs
    IFS='&' read -r -a pairs <<<"$query"
    for pair in "${pairs[@]}"; do
        case "$pair" in
            password=*) password=$(percent_decode "${pair#password=}") ;;
            *) conninfo+="$pair&" ;;
        esac
    done
    local added
    mapfile -t added < <(parameters)
    conninfo+=$(IFS='&' && printf '%s' "${added[*]}")
    address=${rest%%/*}
}

# Hosts with ports, separated by commas.
is_address() {
    local host='([A-Za-z0-9._%-]*|\[[0-9A-Fa-f:.%]+\])(:[0-9]*)?'
    [[ $1 =~ ^$host(,$host)*$ ]]
}

# What is added to an address, one on each line.
parameters() {
    printf '%s\n' "passfile=$STATE/passfile" "application_name=$APPLICATION_NAME" connect_timeout=5 \
        keepalives_idle=10 keepalives_interval=5 keepalives_count=3 tcp_user_timeout=20000
    [[ -z $SSLMODE ]] || printf '%s\n' "sslmode=$SSLMODE"
    [[ -z $SSLROOTCERT ]] || printf '%s\n' "sslrootcert=$SSLROOTCERT"
}

# The same address with another database, or with replication: what comes last counts.
conninfo_with() {
    if [[ $CONNINFO == postgres* && $CONNINFO == *://* ]]; then
        printf '%s&%s' "$CONNINFO" "$1"
    else
        printf '%s %s' "$CONNINFO" "$1"
    fi
}

quote_word() {
    local word=${1//\\/\\\\}
    printf "'%s'" "${word//\'/\\\'}"
}

percent_decode() {
    local text=${1//\\/\\\\}
    printf '%b' "${text//%/\\x}"
}

# Whole at every moment: libpq may be reading it.
write_passfile() {
    local password=${1//\\/\\\\}
    password=${password//:/\\:}
    if [[ -n $password ]]; then
        printf '*:*:*:*:%s\n' "$password" >"$STATE/passfile.new"
    else
        : >"$STATE/passfile.new"
    fi
    mv -f "$STATE/passfile.new" "$STATE/passfile"
}
