-- What the reader must know of the primary before it clones it; one row.
SELECT CASE WHEN current_setting('server_version_num')::int >= 150000
            THEN 'pg_database_collation_actual_version(oid)' ELSE 'NULL' END AS collation_version \gset
SELECT current_setting('server_version_num')::int / 10000,
       pg_is_in_recovery(),
       current_setting('wal_level'),
       current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication),
       current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),
       -- A list of names, which may stand in `FIRST n ( )` or `ANY n ( )`.
       coalesce((SELECT min(name)
                 FROM regexp_split_to_table(current_setting('synchronous_standby_names'), '[\s,()]+') AS word,
                      lower(btrim(word, '"')) AS name
                 WHERE name IN ('*', lower(:'application_name'))), ''),
       (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user),
       current_user,
       coalesce((SELECT min(spcname) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')), ''),
       coalesce((SELECT rolname FROM pg_roles WHERE rolsuper AND rolcanlogin ORDER BY oid LIMIT 1), ''),
       current_database(),
       coalesce((SELECT :collation_version FROM pg_database WHERE datname = current_database()), ''),
       current_setting('max_connections'),
       current_setting('max_worker_processes'),
       current_setting('max_wal_senders'),
       current_setting('max_prepared_transactions'),
       current_setting('max_locks_per_transaction');
