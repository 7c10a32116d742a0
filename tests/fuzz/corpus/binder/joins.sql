-- Inner and left joins; sides that change, go and come back; conditions beyond the keys; NULL keys match nothing.
CREATE TABLE orders (id bigint NOT NULL, customer text, item text, qty integer);
CREATE TABLE customers (customer text PRIMARY KEY, region text);
CREATE TABLE items (item text PRIMARY KEY, price numeric, min_qty integer);
CREATE MATERIALIZED VIEW inner_join AS
SELECT o.id, c.customer, c.region FROM orders o JOIN customers c ON o.customer = c.customer;
CREATE MATERIALIZED VIEW left_join AS
SELECT o.id, o.customer, c.region, c.customer IS NULL AS unknown FROM orders o LEFT JOIN customers c USING (customer);
CREATE MATERIALIZED VIEW residual AS
SELECT o.id, i.price * o.qty AS total FROM orders o JOIN items i ON i.item = o.item AND o.qty >= i.min_qty;
CREATE MATERIALIZED VIEW left_residual AS
SELECT o.id, i.item, i.min_qty FROM orders o LEFT JOIN items i ON i.item = o.item AND o.qty >= i.min_qty;
CREATE MATERIALIZED VIEW three AS
SELECT o.id, c.region, (i.price * o.qty)::text AS total FROM orders o JOIN customers c USING (customer) LEFT JOIN items i USING (item) WHERE o.qty > 2;
CREATE MATERIALIZED VIEW by_region AS
SELECT c.region, count(*) AS orders, sum(i.price * o.qty)::text AS total FROM orders o JOIN customers c USING (customer) JOIN items i USING (item) GROUP BY c.region;
