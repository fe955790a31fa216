-- A schema for each module: a statement of one module names no table of another, so that a module can move to a
-- database of its own. For the same reason no foreign key crosses schemas.

CREATE SCHEMA requests;
CREATE TABLE requests.keys (
    scope       text        NOT NULL,
    key         text        NOT NULL,
    fingerprint text        NOT NULL,
    reference   uuid        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
CREATE INDEX keys_by_age ON requests.keys (created_at);

CREATE SCHEMA jobs;
CREATE TABLE jobs.jobs (
    id           uuid        PRIMARY KEY,
    queue        text        NOT NULL,
    kind         text        NOT NULL,
    payload      jsonb       NOT NULL,
    state        text        NOT NULL DEFAULT 'available' CHECK (state IN ('available', 'running', 'done', 'dead')),
    attempts     int         NOT NULL DEFAULT 0,
    max_attempts int         NOT NULL,
    -- Of an available job when it may run, of a running one when its lease ends: claimable is what is due.
    due_at       timestamptz NOT NULL,
    worker       uuid,
    webhook      text,
    traceparent  text,
    result       jsonb,
    error        text,
    enqueued_at  timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz
);
CREATE INDEX jobs_due ON jobs.jobs (queue, due_at) WHERE state IN ('available', 'running');
CREATE INDEX jobs_dead ON jobs.jobs (queue) WHERE state = 'dead';
CREATE INDEX jobs_done ON jobs.jobs (finished_at) WHERE state = 'done';

CREATE SCHEMA catalog;
CREATE TABLE catalog.products (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text        NOT NULL,
    category    text        NOT NULL,
    price_cents bigint      NOT NULL CHECK (price_cents >= 0),
    -- Rises with each change, so that a cache can tell an older value from a newer one.
    version     bigint      NOT NULL DEFAULT 1
);
CREATE INDEX products_by_category ON catalog.products (category, id);

CREATE SCHEMA accounts;
CREATE TABLE accounts.accounts (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email      text        NOT NULL UNIQUE,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE SCHEMA orders;
CREATE TABLE orders.orders (
    id          uuid        PRIMARY KEY,
    account     bigint      NOT NULL,
    state       text        NOT NULL DEFAULT 'placed' CHECK (state IN ('placed', 'paid', 'declined')),
    total_cents bigint      NOT NULL,
    placed_at   timestamptz NOT NULL DEFAULT now()
);
-- Identifiers rise with time, so this is also the order in which they were placed.
CREATE INDEX orders_by_account ON orders.orders (account, id DESC);
CREATE INDEX orders_by_time ON orders.orders (placed_at);
CREATE TABLE orders.items (
    order_id    uuid   NOT NULL REFERENCES orders.orders (id),
    product     bigint NOT NULL,
    quantity    int    NOT NULL,
    price_cents bigint NOT NULL,
    PRIMARY KEY (order_id, product)
);
-- What was charged: one line for each time that money moved.
CREATE TABLE orders.charges (
    order_id     uuid        NOT NULL REFERENCES orders.orders (id),
    amount_cents bigint      NOT NULL,
    charged_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX charges_by_order ON orders.charges (order_id);

CREATE SCHEMA media;
CREATE TABLE media.files (
    id           uuid        PRIMARY KEY,
    product      bigint      NOT NULL,
    content_type text        NOT NULL,
    bytes        bigint      NOT NULL,
    uploaded_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX files_by_product ON media.files (product);

CREATE SCHEMA reports;
CREATE TABLE reports.reports (
    id         uuid        PRIMARY KEY,
    job        uuid        NOT NULL,
    first_day  date        NOT NULL,
    last_day   date        NOT NULL,
    lines      jsonb       NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX reports_by_job ON reports.reports (job);
