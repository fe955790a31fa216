-- The primary's own defaults for sessions, as lines of a configuration file: a query means the same on both.
-- A hot standby refuses serializable transactions.
SELECT name || ' = ''' || replace(replace(setting, '\', '\\'), '''', '''''') || ''''
FROM pg_settings
WHERE source = 'configuration file'
  AND context = 'user'
  AND (category LIKE 'Client Connection Defaults%' OR category LIKE 'Query Tuning%' OR name = 'work_mem')
  AND category NOT LIKE '%Preloading%'
  AND name NOT IN ('default_transaction_isolation', 'default_transaction_read_only')
ORDER BY name;
