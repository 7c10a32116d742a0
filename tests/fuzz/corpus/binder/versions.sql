-- Two older forms of an event, one lifted in two steps.
CREATE TYPE order_v1 AS (id text, cents bigint, at timestamptz);
CREATE TYPE order_v2 AS (id text, amount numeric, at timestamptz, customer text);
CREATE TABLE orders (
  order_id  text        NOT NULL,
  customer  text        NOT NULL DEFAULT 'unknown',
  amount    numeric     CHECK (amount >= 0),
  placed_at timestamptz NOT NULL
) WITH (event_time = 'placed_at');
CREATE FUNCTION lift_1(o order_v1) RETURNS order_v2 LANGUAGE SQL IMMUTABLE AS 'SELECT o.id, o.cents / 100.0, o.at, NULL::text';
CREATE FUNCTION lift_2(o order_v2) RETURNS orders LANGUAGE SQL IMMUTABLE AS $$SELECT o.id, upper(o.customer), o.amount, o.at$$;
CREATE CAST (order_v1 AS order_v2) WITH FUNCTION lift_1(order_v1);
CREATE CAST (order_v2 AS orders) WITH FUNCTION lift_2(order_v2);
CREATE MATERIALIZED VIEW all_orders AS SELECT order_id, customer, amount, placed_at FROM orders;
CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(amount) AS amount FROM orders GROUP BY customer;
