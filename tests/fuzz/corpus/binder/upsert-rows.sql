-- The last row per key counts; a delete of what is not there is nothing; keys of two columns.
CREATE TABLE stock (shop text, item text, n integer NOT NULL DEFAULT 0, note text, PRIMARY KEY (shop, item));
CREATE MATERIALIZED VIEW copy AS SELECT shop, item, n, note FROM stock;
CREATE MATERIALIZED VIEW low AS SELECT shop, item FROM stock WHERE n < 5;
CREATE MATERIALIZED VIEW per_item AS SELECT item, sum(n) AS n, count(*) AS shops FROM stock GROUP BY item;
