-- Upsert tables joined with each other and with themselves, aggregates of aggregates, plain views in between.
CREATE TABLE employees (name text PRIMARY KEY, dept text, boss text, pay integer);
CREATE TABLE departments (dept text PRIMARY KEY, city text);
CREATE VIEW located AS
SELECT e.name, e.pay, d.dept, d.city FROM employees e LEFT JOIN departments d USING (dept);
CREATE MATERIALIZED VIEW pay_by_dept AS
SELECT dept, city, sum(pay) AS pay, count(*) AS heads FROM located GROUP BY dept, city;
CREATE MATERIALIZED VIEW pay_by_city AS
SELECT city, sum(pay) AS pay, max(pay) AS largest, count(*) AS depts FROM pay_by_dept WHERE dept IS NOT NULL GROUP BY city;
CREATE MATERIALIZED VIEW total AS
SELECT sum(pay) AS pay, sum(depts) AS depts FROM pay_by_city;
CREATE MATERIALIZED VIEW bosses AS
SELECT e.name, b.name AS boss, b.pay - e.pay AS gap FROM employees e JOIN employees b ON b.name = e.boss;
CREATE MATERIALIZED VIEW share AS
SELECT e.name, e.pay, p.pay AS dept_pay, e.pay * 100 / p.pay AS percent FROM employees e JOIN pay_by_dept p ON p.dept = e.dept;
