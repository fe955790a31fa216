//! The table that the dashboard is made from: rows of panels, each a title, a unit and its queries. Pure.
//!
//! `$app` stands for the matchers of the dashboard's variables. What every pod shows alike is aggregated by `max`,
//! everything else of all pods by `sum`.

/// A row of the dashboard.
pub(super) struct Row {
    pub(super) title: &'static str,
    pub(super) panels: &'static [Panel],
}

/// One picture.
pub(super) struct Panel {
    pub(super) title: &'static str,
    /// One of Grafana's names of units.
    pub(super) unit: &'static str,
    pub(super) drawn: Drawn,
    /// What to look for.
    pub(super) says: &'static str,
    /// Each query with the name of its lines.
    pub(super) queries: &'static [(&'static str, &'static str)],
}

/// How a panel is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Drawn {
    Lines,
    /// Lines with a table of their names, largest first: for texts that are too long for a legend below.
    Ranking,
    Heatmap,
}

type Queries = &'static [(&'static str, &'static str)];

const fn panel(title: &'static str, unit: &'static str, says: &'static str, queries: Queries) -> Panel {
    Panel { title, unit, drawn: Drawn::Lines, says, queries }
}

const fn ranking(title: &'static str, unit: &'static str, says: &'static str, queries: Queries) -> Panel {
    Panel { title, unit, drawn: Drawn::Ranking, says, queries }
}

const fn heatmap(title: &'static str, unit: &'static str, says: &'static str, queries: Queries) -> Panel {
    Panel { title, unit, drawn: Drawn::Heatmap, says, queries }
}

pub(super) const ROWS: &[Row] = &[
    Row { title: "Requests by module", panels: MODULES },
    Row { title: "Requests by route", panels: ROUTES },
    Row { title: "Requests in all", panels: REQUESTS },
    Row { title: "Dependencies", panels: DEPENDENCIES },
    Row { title: "Cache and sessions", panels: CACHE },
    Row { title: "Database as the app sees it", panels: DATABASE },
    Row { title: "Reads from replicas", panels: READS },
    Row { title: "Database by its own count (pg_stat_statements)", panels: STATEMENTS },
    Row { title: "Jobs", panels: JOBS },
    Row { title: "Processes", panels: PROCESSES },
];

const MODULES: &[Panel] = &[
    panel(
        "Rate by module",
        "reqps",
        "The module with the most load is the first candidate for a component of its own.",
        &[(
            "{{module}}",
            "sum by (module) (rate(http_server_request_duration_seconds_count{$app}[$__rate_interval]))",
        )],
    ),
    panel(
        "Share of errors by module",
        "percentunit",
        "Answers of 500 and above, those shed for want of room included, of all answers.",
        &[(
            "{{module}}",
            "(sum by (module) (rate(http_server_request_duration_seconds_count{$app,http_response_status_code=~\"5..\"}[$__rate_interval])) \
             or sum by (module) (rate(http_server_request_duration_seconds_count{$app}[$__rate_interval])) * 0) \
             / sum by (module) (rate(http_server_request_duration_seconds_count{$app}[$__rate_interval]))",
        )],
    ),
    panel(
        "Latency by module, p95",
        "s",
        "Time until the answer's head, in which 95 of 100 requests were answered.",
        &[(
            "{{module}}",
            "histogram_quantile(0.95, sum by (module, le) (rate(http_server_request_duration_seconds_bucket{$app}[$__rate_interval])))",
        )],
    ),
];

const ROUTES: &[Panel] = &[
    ranking(
        "Rate by route",
        "reqps",
        "An empty route is a path that no route has.",
        &[(
            "{{http_request_method}} {{http_route}}",
            "sum by (http_request_method, http_route) (rate(http_server_request_duration_seconds_count{$app}[$__rate_interval]))",
        )],
    ),
    ranking(
        "Errors by route",
        "reqps",
        "Answers of 400 and above, by their status; 499 is a client that went away.",
        &[(
            "{{http_request_method}} {{http_route}} {{http_response_status_code}}",
            "sum by (http_request_method, http_route, http_response_status_code) (rate(http_server_request_duration_seconds_count{$app,http_response_status_code=~\"4..|5..\"}[$__rate_interval]))",
        )],
    ),
    ranking(
        "Latency by route, p95",
        "s",
        "The slowest route that is asked often is where work pays first.",
        &[(
            "{{http_request_method}} {{http_route}}",
            "histogram_quantile(0.95, sum by (http_request_method, http_route, le) (rate(http_server_request_duration_seconds_bucket{$app}[$__rate_interval])))",
        )],
    ),
];

const REQUESTS: &[Panel] = &[
    heatmap(
        "Latency, heatmap",
        "s",
        "Two bands are two kinds of request: hits and misses, or small and large.",
        &[(
            "{{le}}",
            "sum by (le) (rate(http_server_request_duration_seconds_bucket{$app}[$__rate_interval]))",
        )],
    ),
    panel(
        "Latency, quantiles",
        "s",
        "A p99 that rises alone is waiting: for a connection, a worker or a lock.",
        &[
            (
                "p50",
                "histogram_quantile(0.5, sum by (le) (rate(http_server_request_duration_seconds_bucket{$app}[$__rate_interval])))",
            ),
            (
                "p95",
                "histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket{$app}[$__rate_interval])))",
            ),
            (
                "p99",
                "histogram_quantile(0.99, sum by (le) (rate(http_server_request_duration_seconds_bucket{$app}[$__rate_interval])))",
            ),
        ],
    ),
    panel(
        "Degraded answers",
        "reqps",
        "fallback: made without a dependency. shed: refused for want of room. The status alone hides the first.",
        &[(
            "{{module}} {{degraded}}",
            "sum by (module, degraded) (rate(http_server_request_duration_seconds_count{$app,degraded=~\"fallback|shed\"}[$__rate_interval]))",
        )],
    ),
    panel(
        "Rate by revision",
        "reqps",
        "How traffic moves during a rollout.",
        &[(
            "{{component}} {{revision}}",
            "sum by (component, revision) (rate(http_server_request_duration_seconds_count{$app}[$__rate_interval]))",
        )],
    ),
    panel(
        "Requests being answered",
        "short",
        "Rate times latency. It grows before either shows trouble.",
        &[("{{http_request_method}}", "sum by (http_request_method) (http_server_active_requests{$app})")],
    ),
    panel(
        "Connections: fullest pod",
        "percentunit",
        "At 100 % the connection that has waited longest for its client is closed for a new one.",
        &[(
            "{{port}}",
            "max by (port) (http_server_connections{$app} / http_server_connections_limit{$app})",
        )],
    ),
    panel(
        "Connections closed for new ones",
        "ops",
        "Clients that keep connections and send nothing, or more clients than a pod is for.",
        &[("{{port}}", "sum by (port) (rate(http_server_connections_closed_total{$app}[$__rate_interval]))")],
    ),
];

const DEPENDENCIES: &[Panel] = &[
    panel(
        "Bulkheads: fullest pod",
        "percentunit",
        "At 100 % one more call is refused. cpu are the CPU workers, requests all requests of a pod.",
        &[("{{name}}", "max by (name) (bulkhead_in_use{$app} / bulkhead_limit{$app})")],
    ),
    panel(
        "Bulkheads: refused calls",
        "ops",
        "Calls that found no room.",
        &[("{{name}}", "sum by (name) (rate(bulkhead_rejected_total{$app}[$__rate_interval]))")],
    ),
    panel(
        "Circuit breakers: pods that are not closed",
        "short",
        "All pods at once: the dependency. One pod: its network, or its node.",
        &[(
            "{{name}} {{state}}",
            "sum by (name, state) (circuit_breaker_state{$app,state=~\"open|half_open\"})",
        )],
    ),
    panel(
        "Circuit breakers: calls by outcome",
        "ops",
        "rejected: not made because the breaker was open. fallback: answered without the dependency.",
        &[(
            "{{name}} {{outcome}}",
            "sum by (name, outcome) (rate(circuit_breaker_calls_total{$app}[$__rate_interval]))",
        )],
    ),
    panel(
        "Retries by outcome",
        "ops",
        "denied: the budget was used up, which keeps retries from multiplying the load.",
        &[(
            "{{name}} {{outcome}}",
            "sum by (name, outcome) (rate(retry_attempts_total{$app}[$__rate_interval]))",
        )],
    ),
];

const CACHE: &[Panel] = &[
    panel(
        "Cache: share of hits",
        "percentunit",
        "Values that were not loaded for the caller alone: hits in either tier, and those that waited for another's loading.",
        &[(
            "{{cache}}",
            "sum by (cache) (rate(cache_requests_total{$app,result=~\"hit|coalesced\"}[$__rate_interval])) \
             / sum by (cache) (rate(cache_requests_total{$app}[$__rate_interval]))",
        )],
    ),
    panel(
        "Cache: requests by result",
        "ops",
        "Misses times the cost of loading one are what the cache cannot spare the database.",
        &[(
            "{{cache}} {{result}}",
            "sum by (cache, result) (rate(cache_requests_total{$app}[$__rate_interval]))",
        )],
    ),
    panel(
        "Cache: pods that hear of changes in others",
        "short",
        "Fewer than there are pods: what others changed is shown for up to a second.",
        &[("hear", "sum(cache_invalidations_up{$app})"), ("pods", "count(cache_invalidations_up{$app})")],
    ),
    panel(
        "Redis: latency by operation, p95",
        "s",
        "Calls that take longer than REDIS_TIMEOUT are given up.",
        &[(
            "{{db_operation_name}}",
            "histogram_quantile(0.95, sum by (db_operation_name, le) (rate(db_client_operation_duration_seconds_bucket{$app,db_system_name=\"redis\"}[$__rate_interval])))",
        )],
    ),
    panel(
        "Sessions",
        "ops",
        "How often a known session is looked up, and how many requests with a session were answered or refused.",
        &[
            (
                "looked up",
                "sum(rate(db_client_operation_duration_seconds_count{$app,db_system_name=\"redis\",db_operation_name=\"GETEX\"}[$__rate_interval]))",
            ),
            (
                "answered with {{http_response_status_code}}",
                "sum by (http_response_status_code) (rate(http_server_request_duration_seconds_count{$app,module=\"visits\"}[$__rate_interval]))",
            ),
        ],
    ),
];

const DATABASE: &[Panel] = &[
    panel(
        "Pools: connections",
        "short",
        "used at max, with requests that wait, is a pool that is too small or statements that are too slow.",
        &[
            (
                "{{db_client_connection_pool_name}} {{db_client_connection_state}}",
                "sum by (db_client_connection_pool_name, db_client_connection_state) (db_client_connection_count{$app})",
            ),
            (
                "{{db_client_connection_pool_name}} max",
                "sum by (db_client_connection_pool_name) (db_client_connection_max{$app})",
            ),
        ],
    ),
    panel(
        "Connections of the database server",
        "short",
        "Sessions of this app and of others, beside what the server admits. Every pod tells the same.",
        &[
            ("{{database}} {{owner}}", "max by (database, owner) (db_server_connections{$app})"),
            ("{{database}} max", "max by (database) (db_server_connections_max{$app})"),
        ],
    ),
    panel(
        "Pools: requests that wait, and those that waited in vain",
        "short",
        "Waiting now, and refusals a second.",
        &[
            (
                "{{db_client_connection_pool_name}} waiting",
                "sum by (db_client_connection_pool_name) (db_client_connection_pending_requests{$app})",
            ),
            (
                "{{db_client_connection_pool_name}} in vain per second",
                "sum by (db_client_connection_pool_name) (rate(db_client_connection_timeouts_total{$app}[$__rate_interval]))",
            ),
        ],
    ),
    panel(
        "Pools: time to get, to use and to open a connection, p95",
        "s",
        "A connection is used for as long as its request has it: long uses with short statements are work done meanwhile.",
        &[
            (
                "{{db_client_connection_pool_name}} wait",
                "histogram_quantile(0.95, sum by (db_client_connection_pool_name, le) (rate(db_client_connection_wait_time_seconds_bucket{$app}[$__rate_interval])))",
            ),
            (
                "{{db_client_connection_pool_name}} use",
                "histogram_quantile(0.95, sum by (db_client_connection_pool_name, le) (rate(db_client_connection_use_time_seconds_bucket{$app}[$__rate_interval])))",
            ),
            (
                "{{db_client_connection_pool_name}} open",
                "histogram_quantile(0.95, sum by (db_client_connection_pool_name, le) (rate(db_client_connection_create_time_seconds_bucket{$app}[$__rate_interval])))",
            ),
        ],
    ),
    ranking(
        "Statements: rate",
        "ops",
        "Statements of one kind that outnumber the requests behind them are a loop over rows.",
        &[(
            "{{db_query_summary}}",
            "sum by (db_query_summary) (rate(db_client_operation_duration_seconds_count{$app,db_system_name=\"postgresql\"}[$__rate_interval]))",
        )],
    ),
    ranking(
        "Statements: time, p95",
        "s",
        "As the app waits for it: the way to the server included.",
        &[(
            "{{db_query_summary}}",
            "histogram_quantile(0.95, sum by (db_query_summary, le) (rate(db_client_operation_duration_seconds_bucket{$app,db_system_name=\"postgresql\"}[$__rate_interval])))",
        )],
    ),
    panel(
        "Calls that failed, by kind",
        "ops",
        "interrupted: past DATABASE_STATEMENT_TIMEOUT. defect: the statement does not fit the schema.",
        &[(
            "{{db_system_name}} {{error_type}}",
            "sum by (db_system_name, error_type) (rate(db_client_operation_duration_seconds_count{$app,error_type!=\"\"}[$__rate_interval]))",
        )],
    ),
];

const READS: &[Panel] = &[
    panel(
        "Reads by server and reason",
        "ops",
        "default and ryw_token on a replica are well; anything on the primary costs what replicas should spare it.",
        &[(
            "{{target}} {{reason}}",
            "sum by (target, reason) (rate(db_reads_routed_total{$app}[$__rate_interval]))",
        )],
    ),
    panel(
        "Lag of the replicas, as the pod furthest behind sees it",
        "s",
        "No line: not known. Reads go to the primary beyond DATABASE_MAX_LAG.",
        &[("lag", "max(db_replica_lag_seconds{$app})")],
    ),
    panel(
        "Wait for an own write",
        "s",
        "How long reads waited for a replica to show the client's own write, at most DATABASE_REPLAY_WAIT.",
        &[
            (
                "p50",
                "histogram_quantile(0.5, sum by (le) (rate(db_replay_wait_seconds_bucket{$app}[$__rate_interval])))",
            ),
            (
                "p99",
                "histogram_quantile(0.99, sum by (le) (rate(db_replay_wait_seconds_bucket{$app}[$__rate_interval])))",
            ),
        ],
    ),
];

const STATEMENTS: &[Panel] = &[
    ranking(
        "Top statements: server time per second",
        "s",
        "1 s is a whole CPU, or one wait at all times. From all clients of the server; nothing without pg_stat_statements.",
        &[(
            "{{query}}",
            "max by (queryid, query) (rate(db_statement_seconds_total{$app}[$__rate_interval]))",
        )],
    ),
    ranking(
        "Top statements: mean time",
        "s",
        "Slow and rare asks for an index; fast and frequent for a batch, or a cache.",
        &[(
            "{{query}}",
            "max by (queryid, query) (rate(db_statement_seconds_total{$app}[$__rate_interval])) \
             / max by (queryid, query) (rate(db_statement_calls_total{$app}[$__rate_interval]))",
        )],
    ),
    ranking(
        "Top statements: rows per call",
        "short",
        "Many rows in every call are a list without a limit, or columns that nobody reads.",
        &[(
            "{{query}}",
            "max by (queryid, query) (rate(db_statement_rows_total{$app}[$__rate_interval])) \
             / max by (queryid, query) (rate(db_statement_calls_total{$app}[$__rate_interval]))",
        )],
    ),
];

const JOBS: &[Panel] = &[
    panel(
        "Jobs that wait, run, or wait for their time",
        "short",
        "Counted up to 10000, by every pod with a database.",
        &[(
            "{{queue}} {{state}}",
            "max by (queue, state) (jobs_queue_depth{$app,state=~\"available|running|scheduled\"})",
        )],
    ),
    panel(
        "Age of the oldest job that could run",
        "s",
        "The signal that needs no unit of work: it rises when workers are too few, too slow or gone.",
        &[("{{queue}}", "max by (queue) (jobs_oldest_age_seconds{$app})")],
    ),
    panel(
        "Dead letters",
        "short",
        "Jobs whose last attempt failed; they stay in the table with their error.",
        &[("{{queue}}", "max by (queue) (jobs_queue_depth{$app,state=\"dead\"})")],
    ),
    panel(
        "Jobs added and ended",
        "ops",
        "retried: will run again. released: given back by a worker that left.",
        &[
            ("{{queue}} enqueued", "sum by (queue) (rate(jobs_enqueued_total{$app}[$__rate_interval]))"),
            (
                "{{queue}} {{outcome}}",
                "sum by (queue, outcome) (rate(jobs_finished_total{$app}[$__rate_interval]))",
            ),
        ],
    ),
    panel(
        "Jobs in flight",
        "short",
        "Over all workers, each up to WORKER_CONCURRENCY.",
        &[("{{queue}}", "sum by (queue) (jobs_in_flight{$app})")],
    ),
    panel(
        "Time of a run, p50 and p95",
        "s",
        "What a worker needs of it: rate times this is how many jobs run at a time.",
        &[
            (
                "{{queue}} p50",
                "histogram_quantile(0.5, sum by (queue, le) (rate(job_duration_seconds_bucket{$app}[$__rate_interval])))",
            ),
            (
                "{{queue}} p95",
                "histogram_quantile(0.95, sum by (queue, le) (rate(job_duration_seconds_bucket{$app}[$__rate_interval])))",
            ),
        ],
    ),
];

const PROCESSES: &[Panel] = &[
    panel(
        "CPU by pod",
        "short",
        "In CPUs.",
        &[("{{pod}}", "sum by (pod) (rate(process_cpu_seconds_total{$app}[$__rate_interval]))")],
    ),
    panel(
        "Resident memory by pod",
        "bytes",
        "What the memory limit is compared with.",
        &[("{{pod}}", "sum by (pod) (process_resident_memory_bytes{$app})")],
    ),
    panel(
        "Threads by pod",
        "short",
        "A fixed number: a rise is blocking work.",
        &[("{{pod}}", "sum by (pod) (process_threads{$app})")],
    ),
    panel(
        "Open files, share of the limit",
        "percentunit",
        "Connections are files: at 100 % none is accepted.",
        &[("{{pod}}", "max by (pod) (process_open_fds{$app} / process_max_fds{$app})")],
    ),
    panel(
        "Time since the start, by pod",
        "s",
        "A drop is a restart.",
        &[("{{pod}}", "time() - max by (pod) (process_start_time_seconds{$app})")],
    ),
];
