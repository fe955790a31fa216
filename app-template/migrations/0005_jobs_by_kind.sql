-- A worker takes jobs of the kinds that it knows, and reads no others.
CREATE INDEX IF NOT EXISTS jobs_due_by_kind ON jobs.jobs (queue, kind, due_at) WHERE state IN ('available', 'running');
