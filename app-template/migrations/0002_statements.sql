-- The server's own count of statements, where it has one and this role may switch it on. Without, everything else works.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
EXCEPTION
    WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
        RAISE NOTICE 'pg_stat_statements is left off: %', SQLERRM;
END $$;
