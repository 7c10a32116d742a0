-- A row that looks a table up finds what stood there when its own message was stored, whatever goes into one epoch. Later
-- changes of the table don't revise what was joined.
-- test: no oracle, PostgreSQL has no order of arrival
CREATE TABLE e (id bigint, k bigint);
CREATE TABLE d (k bigint PRIMARY KEY, v text) WITH (lookup = true);
CREATE MATERIALIZED VIEW joined AS SELECT e.id, d.v FROM e LEFT JOIN d ON d.k = e.k;
CREATE MATERIALIZED VIEW per_v AS SELECT d.v, count(*) AS n FROM e JOIN d USING (k) GROUP BY d.v;
-- Through filters, windows and other joins; by a computed key; two tables, one of them twice.
CREATE TABLE payments (id bigint, currency text, method text, amount numeric, at timestamptz) WITH (event_time = 'at');
CREATE TABLE rates (currency text PRIMARY KEY, rate numeric, base text) WITH (lookup = true);
CREATE TABLE fees (method text PRIMARY KEY, fee numeric) WITH (lookup = true);
CREATE MATERIALIZED VIEW paid AS
SELECT p.id, p.amount * r.rate * b.rate AS amount, f.fee FROM payments p
JOIN rates r ON r.currency = upper(p.currency) JOIN rates b ON b.currency = r.base LEFT JOIN fees f USING (method)
WHERE p.amount > 0;
CREATE MATERIALIZED VIEW per_rate AS
SELECT r.rate, count(*) AS n, sum(p.amount) AS amount FROM payments p JOIN rates r USING (currency) GROUP BY r.rate;
CREATE MATERIALIZED VIEW per_window AS
SELECT r.rate, p.window_start, count(*) AS n FROM hop(payments, at, interval '30 seconds', interval '1 minute') p
JOIN rates r USING (currency) GROUP BY r.rate, p.window_start;
