-- How often a job's lease ended while nobody renewed it: its worker was lost. Since then max_attempts bounds these, and
-- attempts counts what was tried.
ALTER TABLE jobs.jobs ADD COLUMN lost_leases int NOT NULL DEFAULT 0;
