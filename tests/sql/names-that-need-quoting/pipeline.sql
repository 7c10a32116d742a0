-- test: no oracle, a row divides by zero
-- Names that no subject can have as they are: reports of such tables and views have subjects all the same.
CREATE TABLE "my table" (id integer NOT NULL CHECK (id > 0)) ;
CREATE TABLE "a.b>" (id integer NOT NULL CHECK (id > 0)) ;
CREATE TABLE "*" (id integer NOT NULL CHECK (id > 0)) ;
CREATE MATERIALIZED VIEW "a view." AS SELECT 10 / (id - 5) AS x FROM "my table";
