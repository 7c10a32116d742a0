# SPDX-License-Identifier: Apache-2.0
"""What tests/recorded/record makes logs of: one small pipeline per operator, aggregate and kind of function, and what flows
through them. All read the same few input streams. What a recording holds is in the recording: a change here shows in the next one.

Times lie in 2020, so that no clock is behind them."""
import proto

START = 1_583_064_000  # 2020-03-01 12:00:00Z

ORDERS = """
CREATE TABLE orders (
  id bigint NOT NULL, customer text, amount numeric, price double precision, pieces integer, paid boolean, note text,
  at timestamptz, took interval, day date, data bytea, ref bigint
) WITH (subject = 'rec.orders', event_time = 'at', watermark = '10 seconds');
"""
CUSTOMERS = """
CREATE TABLE customers (customer text PRIMARY KEY, region text, credit numeric, since date, score double precision)
  WITH (subject = 'rec.tables.customers');
"""
RATES = """
CREATE TABLE rates (customer text PRIMARY KEY, rate numeric) WITH (subject = 'rec.tables.rates', lookup = true);
"""
STOCK = """
CREATE TABLE stock (shop text, item text, n integer, PRIMARY KEY (shop, item)) WITH (subject = 'rec.stock.{shop}.{item}');
"""
READINGS = """
CREATE TABLE readings (sensor text PRIMARY KEY, kind text, reading double precision) WITH (subject = 'rec.tables.readings');
"""
BADGES = """
CREATE TABLE badges (name text PRIMARY KEY, level integer) WITH (subject = 'rec.badges.{name}');
"""
PROTO = """
syntax = "proto3";
package rec.v1;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/duration.proto";
enum Status { NEW = 0; PAID = 1; SHIPPED = 2; }
message Person { string name = 1; string region = 2; }
message Shipment {
  string id = 1;
  Person person = 2;
  double weight = 3;
  Status status = 4;
  google.protobuf.Timestamp at = 5;
  google.protobuf.Int32Value discount = 6;
  optional int64 priority = 7;
  oneof way { string road = 8; string air = 9; }
  repeated string tags = 10;
  google.protobuf.Duration took = 11;
  uint64 pieces = 12;
  map<string, int32> parts = 13;
}
message Visit { string page = 1; string at = 2; }
"""
# Files beside the SQL: of field numbers, with a number that is gone, and others than the columns' order gives.
FILES = {"fields_locked.fields": """braid fields 1

message orders
  1 int64 id
  2 string customer
  3 string amount
  4 double price
  5 int32 pieces
  6 bool paid
  7 string note
  8 Timestamp at
  9 string took
  10 string day
  11 bytes data
  12 int64 ref

message spent
  1 string customer
  reserved 2 orders
  3 string amount
  7 int64 n
  5 Timestamp last
"""}


def view(name, select, options=""):
    return f"CREATE MATERIALIZED VIEW {name} {options} AS {select};\n"


def each(columns, where=""):
    """A view of expressions over the orders, which keeps its rows: they are grouped by the order's number."""
    names = ", ".join(f"max({expression}) AS {name}" for name, expression in columns.items())
    return view("computed", f"SELECT id, {names} FROM orders {where} GROUP BY id")


TEXT = {
    "a": "lower(note)", "b": "upper(note)", "c": "initcap(note)", "d": "length(note)", "e": "octet_length(note)",
    "f": "substring(note from 2 for 3)", "g": "left(note, -2)", "h": "right(note, 3)", "i": "position('b' in note)",
    "j": "trim(both ' x' from note)", "k": "lpad(note, 12, '*')", "l": "rpad(note, 4)", "m": "repeat(customer, 2)",
    "n": "replace(note, 'a', 'bb')", "o": "translate(note, 'abü', 'xy')", "p": "overlay(note placing 'hom' from 2 for 4)",
    "q": "reverse(note)", "r": "split_part(note, ' ', 1)", "s": "concat(customer, NULL, id)", "t": "concat_ws('-', note, pieces)",
    "u": "ascii(note)", "v": "chr(60 + pieces)", "w": "md5(note)", "x": "encode(data, 'base64')", "y": "to_hex(ref)",
    "z": "customer || ':' || id || ':' || amount", "aa": "note LIKE '%a_b%'", "ab": "note ILIKE 'GR%'",
    "ac": "starts_with(note, 'n')", "ad": "encode(convert_to(note, 'UTF8'), 'hex')", "ae": "note > customer",
    "af": "bit_length(note)", "ag": "note::varchar(3)",
}
TEXT = {name: (f"CASE WHEN {e} THEN 'yes' ELSE 'no' END" if " LIKE " in e or " ILIKE " in e or "starts_with" in e or " > " in e else e)
        for name, e in TEXT.items()}
NUMERIC = {
    "a": "amount + 1.005", "b": "amount - pieces", "c": "amount * amount", "d": "amount / (pieces + 1)", "e": "amount % 7",
    "f": "-amount", "g": "abs(amount)", "h": "sign(amount)", "i": "round(amount, 1)", "j": "trunc(amount, -1)", "k": "ceil(amount)",
    "l": "floor(amount)", "m": "div(amount, 3)", "n": "mod(amount, 2.5)", "o": "scale(amount)", "p": "trim_scale(amount)",
    "q": "sqrt(abs(amount))", "r": "amount::numeric(12, 1)", "s": "amount::integer", "t": "amount::text", "u": "ref % 1000 + pieces",
    "v": "ref / 7", "w": "pieces & 5 | 8", "x": "pieces # 3", "y": "~ pieces", "z": "1 << pieces", "aa": "ref >> 3",
    "ab": "greatest(amount, pieces, 3)", "ac": "least(amount, 100)", "ad": "nullif(pieces, 2)", "ae": "price::numeric",
}
DOUBLE = {
    "a": "price + 0.1", "b": "price * price", "c": "price / 3", "d": "sqrt(abs(price))", "e": "round(price)", "f": "trunc(price)",
    "g": "floor(price)", "h": "ceil(price)", "i": "sign(price)", "j": "price::text", "k": "amount::double precision",
    "l": "width_bucket(price, 0, 100, 7)", "m": "degrees(price)", "n": "radians(price)", "o": "- price", "p": "abs(price)",
}
LIBM = {
    "a": "exp(price / 100)", "b": "ln(abs(price) + 1)", "c": "log(abs(price) + 2)", "d": "power(abs(price) + 1, 0.37)", "e": "cbrt(price)",
    "f": "sin(price)", "g": "cos(price)", "h": "tan(price)", "i": "asin(0.3)", "j": "atan(price)", "k": "atan2(price, 3)", "l": "2 ^ (price / 50)",
    "m": "acos(0.7)", "n": "log10(abs(price) + 3)",
}
NUMERIC_POWERS = {"a": "power(abs(amount) + 1, 1.5)", "b": "exp(amount / 1000)", "c": "ln(abs(amount) + 1)", "d": "log(abs(amount) + 1)"}
# Those of doubles at places that are hard to round, and of numerics with bases of their own.
ELEMENTARY = {
    "a": "sin(price * 1e15)", "b": "cos(price * 1e300)", "c": "tan(price + 1.5707963267948966)", "d": "exp(-price)", "e": "exp(price * 1e-17)",
    "f": "ln(1 + price * 1e-16 + 1e-9)", "g": "power(price + 10, -3)", "h": "power(abs(price), 0.5)", "i": "cbrt(price * 1e-300)",
    "j": "atan2(price, -0.0)", "k": "atan2(price, 1e-300)", "l": "asin(1 / (abs(price) + 1))", "m": "acos(1 / (abs(price) + 1))",
    "n": "log10(abs(price) * 1e290 + 1)", "o": "log10(power(10, (id % 20)::double precision))", "p": "tan(price + 0.1)",
    "q": "power(2.0::double precision, (id % 2000 - 1074)::double precision)",
}
NUMERIC_LOGARITHMS = {
    "a": "log(2, abs(amount) + 1)", "b": "log(abs(amount) + 2, 10)", "c": "power(1.0001, id)", "d": "power(abs(amount) + 1, -2)",
    "e": "exp(-(id % 30)::numeric)", "f": "ln(abs(amount) + 0.000001)", "g": "(abs(amount) + 1) ^ 0.333", "h": "sqrt(abs(amount) * 2)",
}
TIME = {
    "a": "at + interval '1 month'", "b": "at - timestamptz '2020-01-01Z'", "c": "day - 30", "d": "day - date '2020-02-01'", "e": "took * 1.5",
    "f": "took / 4", "g": "date_trunc('hour', at)", "h": "date_bin('15 minutes', at, timestamptz '2020-01-01Z')", "i": "extract(year from day)",
    "j": "extract(epoch from took)", "k": "date_part('minute', at)", "l": "to_char(at, 'YYYY-MM-DD HH24:MI:SS')",
    "m": "to_timestamp(price)", "n": "make_date(2020, 2, 29)", "o": "justify_hours(took)", "p": "justify_days(took)",
    "q": "day + took", "r": "at::date", "s": "day::timestamptz", "t": "took::text", "u": "to_char(at, 'FMDay, FMMonth DDth HH12 am')",
    "v": "date_trunc('century', now())", "w": "current_date - day", "x": "extract(dow from at)", "y": "- took",
}
REGEX = {
    "a": "substring(note from '[0-9]+')", "b": "regexp_replace(note, '[aeiou]', '#', 'g')", "c": "regexp_count(note, 'a|ab')",
    "d": "regexp_substr(note, '(a|ab)(c|bcd)?')", "e": "CASE WHEN note ~ '^[a-z]' THEN 1 ELSE 0 END",
    "f": "CASE WHEN note ~* 'GR.SSE' THEN 1 ELSE 0 END", "g": "CASE WHEN note !~ '\\d' THEN 1 ELSE 0 END",
    "h": "regexp_replace(note, '(a)(b)', '\\2\\1')", "i": "CASE WHEN regexp_like(note, '\\mab', 'i') THEN 1 ELSE 0 END",
}
# What depends on which match is taken, how it is cut into groups, and what a class holds.
REGEX_MATCHES = {
    "a": "regexp_substr(note, '(a|ab)(c|bcd)(d*)')", "b": "regexp_replace(note, '(a|ab)(c|bcd)(d*)', '<\\1-\\2-\\3>')",
    "c": "regexp_replace(note, '(x*)*', '[\\1]', 'g')", "d": "regexp_substr(note, '[[:alpha:]]+?b')", "e": "regexp_count(note, '\\w{2,3}')",
    "f": "regexp_substr(note, '(?i)[[:upper:]]+')", "g": "substring(note from '([0-9]{1,2}|[a-z]+) ?')", "h": "regexp_replace(note, '\\y', '|', 'g')",
    "i": "regexp_substr(note, '(?i)gr(ü|Ü)(ß|ss)e')", "j": "CASE WHEN note ~ '^(a|b)*(a|c)*(a|d)*$' THEN 1 ELSE 0 END",
    "k": "CASE WHEN note ~ '[[:<:]]n|à\\M' THEN 1 ELSE 0 END", "l": "regexp_substr(note, '[^[:space:]]+$')",
}
CONDITIONS = {
    "a": "CASE WHEN amount > 50 THEN 'more' WHEN amount > 10 THEN 'some' ELSE 'less' END", "b": "coalesce(note, customer, '?')",
    "c": "CASE pieces WHEN 1 THEN 'one' WHEN 2 THEN 'two' END", "d": "CASE WHEN pieces BETWEEN 2 AND 3 AND paid THEN 1 ELSE 0 END",
    "e": "CASE WHEN pieces IN (1, 3, NULL) THEN 1 ELSE 0 END", "f": "CASE WHEN paid IS NOT TRUE THEN 1 ELSE 0 END",
    "g": "CASE WHEN customer = ANY (ARRAY['ann', 'eve']) THEN 1 ELSE 0 END", "h": "CASE WHEN note IS DISTINCT FROM 'abcd' THEN 1 ELSE 0 END",
    "i": "CASE WHEN pieces <> 0 AND amount / pieces > 10 THEN 1 ELSE 0 END",
}
CASTS = {
    "a": "id::text::bigint", "b": "price::integer", "c": "pieces::double precision", "d": "paid::text", "e": "paid::integer",
    "f": "at::text", "g": "day::text", "h": "amount::bigint", "i": "('0' || pieces)::integer", "j": "(id || ' minutes')::interval",
    "k": "data::text",
}
AGGREGATES = {
    "counts": "count(*) AS a, count(note) AS b, count(DISTINCT pieces) AS c, count(*) FILTER (WHERE paid) AS d",
    "sums": "sum(pieces) AS a, sum(ref) AS b, sum(amount) AS c, sum(amount) FILTER (WHERE pieces > 1) AS d, sum(took) AS e",
    "doubles": "sum(price) AS a, avg(price) AS b, sum(DISTINCT price) AS c",
    "extremes": "min(amount) AS a, max(note) AS b, min(at) AS c, max(day) AS d, max(took) AS e, min(price) AS f, max(amount) FILTER (WHERE paid) AS g",
    "averages": "avg(pieces) AS a, avg(ref) AS b, avg(amount) AS c, avg(took) AS d, avg(DISTINCT pieces) AS e",
    "deviations": "stddev(pieces) AS a, stddev_pop(amount) AS b, variance(amount) AS c, var_pop(ref) AS d",
    "spread": "stddev(price) AS a, stddev_pop(price) AS b, variance(price) AS c, var_pop(price) AS d",
    "logic": "bool_and(paid) AS a, bool_or(paid) AS b, every(pieces > 0) AS c",
    "distinct": "sum(DISTINCT pieces) AS a, count(DISTINCT note) AS b, sum(DISTINCT amount) FILTER (WHERE paid) AS c",
}


def pipelines():
    """name -> SQL. The names are those of the pipelines."""
    found = {}
    for name, aggregates in AGGREGATES.items():
        # Over a stream; and over rows that change: those of a table with a key, and of another view.
        found[f"agg_{name}"] = ORDERS + view("grouped", f"SELECT customer, {aggregates} FROM orders GROUP BY customer")
    found["agg_changing"] = CUSTOMERS + view(
        "grouped", "SELECT region, count(*) AS n, sum(credit) AS total, min(credit) AS least, max(customer) AS last, avg(credit) AS mean, "
        "count(DISTINCT since) AS days, stddev(credit) AS s, bool_and(credit > 10) AS rich FROM customers GROUP BY region")
    found["agg_changing_doubles"] = CUSTOMERS + view(
        "grouped", "SELECT region, sum(score) AS total, avg(score) AS mean, stddev(score) AS s, var_pop(score) AS v, max(score) AS most "
        "FROM customers GROUP BY region")
    found["agg_outliers"] = READINGS + view(
        "grouped", "SELECT kind, sum(reading) AS total, avg(reading) AS mean, stddev(reading) AS s, var_pop(reading) AS v, stddev_pop(reading) AS p, "
        "count(*) AS n FROM readings GROUP BY kind") + view("all_of_them", "SELECT sum(reading) AS total, variance(reading) AS v FROM readings")
    found["agg_global"] = ORDERS + view("grouped", "SELECT count(*) AS n, sum(amount) AS amount, max(at) AS last FROM orders")
    found["agg_global_empty"] = ORDERS + view("grouped", "SELECT count(*) AS n, max(pieces) AS most FROM orders WHERE pieces > 1000")
    found["agg_having"] = ORDERS + view("grouped", "SELECT customer, max(amount) AS most FROM orders GROUP BY customer HAVING count(*) > 3")
    found["select_distinct"] = ORDERS + view("grouped", "SELECT DISTINCT customer, pieces FROM orders")
    for name, columns in (("text", TEXT), ("numeric", NUMERIC), ("double", DOUBLE), ("libm", LIBM), ("numeric_powers", NUMERIC_POWERS),
                          ("time", TIME), ("regex", REGEX), ("elementary", ELEMENTARY),
                          ("numeric_logarithms", NUMERIC_LOGARITHMS), ("regex_matches", REGEX_MATCHES), ("conditions", CONDITIONS), ("casts", CASTS)):
        found[f"functions_{name}"] = ORDERS + each(columns)
    found["functions_constant"] = ORDERS + view(
        "computed", "SELECT customer, max(pieces * exp(1.5) + ln(7) + power(2.5, 1.3)) AS a, max(substring('xxabcd' from 'a|ab') || note) AS b "
        "FROM orders GROUP BY customer")
    found["filter"] = ORDERS + view("passed", "SELECT id, amount, upper(customer) AS who FROM orders WHERE pieces > 1 AND NOT paid")
    found["filter_recent"] = ORDERS + view("recent", "SELECT id, amount FROM orders WHERE at > now() - interval '10000 days'")
    window = "SELECT customer, window_start, window_end, count(*) AS n, sum(amount) AS amount FROM {} GROUP BY customer, window_start, window_end"
    tumble, hop = "tumble(orders, at, interval '1 minute')", "hop(orders, at, interval '20 seconds', interval '1 minute')"
    found["window_tumble"] = ORDERS + view("windowed", window.format(tumble))
    found["window_hop"] = ORDERS + view("windowed", window.format(hop))
    # A thousand windows for one event: its epoch is published in parts.
    found["window_parts"] = ORDERS.replace("rec.orders", "rec.rare") + view(
        "windowed", "SELECT window_start, count(*) AS n FROM hop(orders, at, interval '1 second', interval '1000 seconds') GROUP BY window_start")
    found["window_final"] = ORDERS + view("windowed", window.format(tumble), "WITH (emit = 'final')")
    found["window_lateness"] = ORDERS + view("windowed", window.format(tumble), "WITH (lateness = '3 minutes')")
    found["window_joined"] = ORDERS + CUSTOMERS + view(
        "windowed", "SELECT c.region, o.window_start, count(*) AS n, sum(o.amount) AS amount "
        f"FROM {tumble} o JOIN customers c USING (customer) GROUP BY c.region, o.window_start", "WITH (lateness = '1 hour')")
    found["window_joined_left"] = ORDERS + CUSTOMERS + view(
        "windowed", f"SELECT c.region, o.window_end, count(*) AS n, max(c.score) AS score FROM {hop} o LEFT JOIN customers c USING (customer) "
        "GROUP BY c.region, o.window_end") + view(
        "at_last", f"SELECT c.region, o.window_start, sum(o.pieces) AS pieces FROM {tumble} o JOIN customers c USING (customer) "
        "GROUP BY c.region, o.window_start", "WITH (emit = 'final')")
    found["window_over_join"] = ORDERS + CUSTOMERS + (
        "CREATE VIEW joined AS SELECT o.id, o.at, c.region FROM orders o JOIN customers c USING (customer);\n") + view(
        "windowed", "SELECT region, window_start, count(*) AS n FROM tumble(joined, at, interval '1 minute') GROUP BY region, window_start")
    found["window_bounds_joined"] = ORDERS + view("counted", f"SELECT window_start, count(*) AS n FROM {tumble} GROUP BY window_start") + view(
        "joined", f"SELECT o.id, o.window_start, w.n FROM {tumble} o JOIN counted w ON w.window_start = o.window_start") + view(
        "shares", "SELECT window_start, customer, count(*) AS n, max(n) AS most FROM (SELECT o.customer, o.window_start, w.n FROM "
        f"{tumble} o JOIN counted w ON w.window_start = o.window_start) x GROUP BY window_start, customer")
    found["join_inner"] = ORDERS + CUSTOMERS + view(
        "joined", "SELECT c.region, c.since, o.id, o.amount FROM orders o JOIN customers c USING (customer) WHERE o.amount > c.credit / 10")
    found["join_grouped"] = ORDERS + CUSTOMERS + view(
        "joined", "SELECT c.region, count(*) AS n, sum(o.amount) AS amount FROM orders o, customers c WHERE o.customer = c.customer GROUP BY c.region")
    found["join_left"] = ORDERS + CUSTOMERS + view(
        "joined", "SELECT o.id, o.pieces, c.region FROM orders o LEFT JOIN customers c ON c.customer = o.customer AND c.since < date '2019-06-01'")
    found["join_lookup"] = ORDERS + RATES + view(
        "joined", "SELECT o.id, o.amount * r.rate AS amount FROM orders o JOIN rates r ON r.customer = o.customer")
    found["join_lookup_left"] = ORDERS + RATES + view(
        "joined", "SELECT o.customer, count(*) AS n, sum(o.amount * r.rate) AS amount FROM orders o LEFT JOIN rates r ON r.customer = o.customer "
        "GROUP BY o.customer")
    found["join_left_fails"] = ORDERS + CUSTOMERS + view(
        "joined", "SELECT o.id, c.region FROM orders o LEFT JOIN customers c ON c.customer = o.customer AND 10 / o.pieces > 2")
    found["join_views"] = ORDERS + CUSTOMERS + view("spent", "SELECT customer, sum(amount) AS amount FROM orders GROUP BY customer") + view(
        "joined", "SELECT s.customer, s.amount, c.region FROM spent s JOIN customers c USING (customer)")
    found["views"] = ORDERS + view("spent", "SELECT customer, sum(amount) AS amount, count(*) AS n FROM orders GROUP BY customer") + view(
        "bands", "SELECT CASE WHEN amount < 100 THEN 'small' ELSE 'large' END AS band, count(*) AS customers, max(amount) AS most, min(n) AS n "
        "FROM spent GROUP BY 1") + view("rich", "SELECT customer, amount FROM spent WHERE amount > 80")
    found["definitions"] = ORDERS + (
        "CREATE FUNCTION with_vat(net numeric) RETURNS numeric LANGUAGE SQL IMMUTABLE AS 'SELECT round(net * 1.19, 2)';\n"
        "CREATE VIEW large AS SELECT * FROM orders WHERE amount >= 20;\n") + view(
        "priced", "WITH priced AS (SELECT customer, with_vat(amount) / pieces AS price FROM large WHERE pieces > 0) "
        "SELECT customer, max(price) AS price FROM priced GROUP BY customer")
    found["definitions_shadow"] = ORDERS + (
        "CREATE FUNCTION lower(t text) RETURNS text LANGUAGE SQL IMMUTABLE AS 'SELECT upper(t)';\n") + view(
        "named", "SELECT lower(customer) AS who, count(*) AS n FROM orders GROUP BY 1")
    found["upsert"] = CUSTOMERS + view("copied", "SELECT * FROM customers") + view("wealthy", "SELECT customer, credit FROM customers WHERE credit > 20")
    found["upsert_subject"] = STOCK + view("items", "SELECT item, sum(n) AS n, count(*) AS shops FROM stock GROUP BY item")
    found["badges"] = BADGES + view("holders", "SELECT name, level FROM badges") + (  # a key that stands in the subject only
        "CREATE TABLE given (name text, level integer) WITH (subject = 'rec.badges.>');\n") + view("counted", "SELECT count(*) AS n FROM given")
    # Of one table nothing is there before the recording has ended.
    found["begins_last"] = CUSTOMERS + ORDERS.replace("rec.orders", "rec.last") + view(
        "joined", "SELECT c.region, count(*) AS n FROM orders o JOIN customers c USING (customer) GROUP BY c.region") + view(
        "counted", "SELECT count(*) AS n FROM orders")
    found["versions"] = (
        "CREATE TYPE deal_v1 AS (id text, cents bigint);\nCREATE TABLE deals (deal text NOT NULL, amount numeric) WITH (subject = 'rec.deals');\n"
        "CREATE FUNCTION lift(d deal_v1) RETURNS deals LANGUAGE SQL IMMUTABLE AS 'SELECT d.id, d.cents / 100.0';\n"
        "CREATE CAST (deal_v1 AS deals) WITH FUNCTION lift(deal_v1);\n") + view("all_deals", "SELECT deal, sum(amount) AS amount FROM deals GROUP BY deal")
    found["gates"] = ORDERS.replace("amount numeric", "amount numeric CHECK (amount >= 0)").replace(
        "pieces integer", "pieces integer DEFAULT 7").replace("note text", "note text NOT NULL") + view(
        "priced", "SELECT customer, sum(amount / pieces) AS price, count(*) AS n FROM orders GROUP BY customer") + view(
        "each", "SELECT id, ref / (pieces - 2) AS share FROM orders")
    found["delimited"] = "CREATE TABLE clicks (page text, n integer) WITH (subject = 'rec.clicks', layout = 'delimited');\n" + view(
        "pages", "SELECT page, sum(n) AS n, count(*) AS clicks FROM clicks GROUP BY page")
    found["messages"] = "SET braid.descriptors = 'rec.binpb';\n" + (
        "CREATE TABLE shipments () WITH (subject = 'rec.shipments', message = 'rec.v1.Shipment', event_time = 'at');\n") + view(
        "sent", "SELECT id, s.person.name, status, discount, priority, road, air, took, weight, pieces FROM shipments s") + view(
        "starred", "SELECT * FROM shipments") + view("per_region", "SELECT (person).region, sum(weight) AS weight, count(*) AS n FROM shipments GROUP BY 1")
    found["enums"] = "SET braid.descriptors = 'rec.binpb';\n" + (
        "CREATE TABLE shipments (id text, status text, at timestamptz) WITH (subject = 'rec.shipments', message = 'rec.v1.Shipment');\n") + view(
        "paid", "SELECT id, status FROM shipments WHERE status IN ('PAID', 'SHIPPED')") + view("per_status", "SELECT status, count(*) AS n FROM shipments GROUP BY status")
    found["times_as_text"] = "SET braid.descriptors = 'rec.binpb';\n" + (
        "CREATE TABLE visits (page text, at timestamptz) WITH (subject = 'rec.visits', message = 'rec.v1.Visit');\n") + view(
        "pages", "SELECT page, min(at) AS first, count(*) AS n FROM visits GROUP BY page")
    found["fields_locked"] = "SET braid.fields = 'fields_locked.fields';\n" + ORDERS + view(
        "spent", "SELECT customer, max(at) AS last, count(*) AS n, sum(amount) AS amount FROM orders GROUP BY customer")
    found["comments"] = ORDERS + view("spent", "SELECT customer, sum(amount) AS amount FROM orders GROUP BY customer") + (
        "COMMENT ON TABLE orders IS 'what was ordered';\nCOMMENT ON COLUMN orders.pieces IS 'how many; 0: none';\n"
        "COMMENT ON MATERIALIZED VIEW spent IS 'what each has spent';\nCOMMENT ON COLUMN spent.amount IS 'euro';\n")
    grouped = "SELECT customer, count(*) AS n, sum(amount) AS amount FROM orders GROUP BY customer"
    found["emit_interval"] = ORDERS + CUSTOMERS + view("held", grouped, "WITH (emit_interval = '700 milliseconds')") + view(
        "held_rows", "SELECT c.region, o.pieces FROM orders o JOIN customers c USING (customer)", "WITH (emit_interval = '700 milliseconds')")
    found["packed"] = ORDERS + CUSTOMERS + view("grouped", grouped, "WITH (layout = 'packed')") + view(
        "passed", "SELECT id, amount FROM orders WHERE pieces > 2", "WITH (layout = 'packed')") + view(
        "joined", "SELECT c.region, o.pieces FROM orders o JOIN customers c USING (customer)", "WITH (layout = 'packed')")
    found["packed_mixed"] = ORDERS + view("grouped", grouped, "WITH (layout = 'packed')") + view("largest", "SELECT max(amount) AS most FROM orders")
    found["published"] = ORDERS + view("grouped", grouped, "WITH (format = 'json', subject = 'rec.out.{customer}', ttl = '36500 days')") + view(
        "told", "SELECT customer, max(price) AS price, max(at) AS at, max(took) AS took, min(amount) AS amount FROM orders GROUP BY customer",
        "WITH (format = 'json', effect = true)") + view("by_amount", "SELECT amount, count(*) AS n FROM orders GROUP BY amount")
    found["shared_subject"] = ORDERS + view("one", "SELECT customer, count(*) AS n FROM orders GROUP BY customer", "WITH (subject = 'rec.shared')") + view(
        "two", "SELECT customer, max(pieces) AS n FROM orders GROUP BY customer", "WITH (subject = 'rec.shared')")
    found["trimmed"] = "CREATE TABLE ticks (id bigint, n integer) WITH (subject = 'rec.ticks');\n" + view("counted", "SELECT id % 3 AS k, sum(n) AS n FROM ticks GROUP BY 1")
    for name, (former, _) in HISTORIES.items():
        found[name] = former
    return {name: f"SET braid.pipeline = '{name}';\n{sql}" for name, sql in found.items()}


BUG = ORDERS + view("grouped", "SELECT customer, count(*) AS n, sum(amount) AS amount FROM orders WHERE pieces > 1 GROUP BY customer") + view(
    "passed", "SELECT id, amount FROM orders") + view("most", "SELECT customer, max(amount) AS most FROM orders GROUP BY customer",
                                                      "WITH (emit_interval = '300 milliseconds')")
FIXED = BUG.replace(" WHERE pieces > 1", "")
WINDOWS = ORDERS + view("windowed", "SELECT window_start, count(*) AS n FROM tumble(orders, at, interval '1 minute') GROUP BY window_start")
BEGINS_LATE = CUSTOMERS + ORDERS.replace("rec.orders", "rec.tables.late_orders") + view(
    "joined", "SELECT c.region, count(*) AS n FROM orders o JOIN customers c USING (customer) GROUP BY c.region")
ARCHIVED = "SET braid.archive = 'file:///proc/self/cwd/archive';\n" + ORDERS.replace("'rec.orders'", "'rec.archived'") + view(
    "grouped", "SELECT customer, count(*) AS n, sum(amount) AS amount FROM orders GROUP BY customer")
# Pipelines with replays: the file, and the changed one.
HISTORIES = {
    "replay_promoted": (BUG, FIXED),
    "replay_rolled_back": (BUG, FIXED),
    "replay_done": (BUG, FIXED),
    "replay_paused": (BUG, FIXED),
    "replay_lateness": (WINDOWS, None),
    "replay_imported": (ARCHIVED, None),
    "replay_rebuilt": (BUG, None),
    "replay_begins_late": (BEGINS_LATE, BEGINS_LATE.replace("count(*) AS n", "count(*) AS n, sum(o.amount) AS amount")),
}

NO_FOLD = {"shared_subject"}  # a reader of the stream can't tell whose row it is

# --- what flows

LAST_TABLE = 24  # a moment past the recording's end

CUSTOMER_NAMES = ["ann", "bob", "eve", "kim", None]
NOTES = ["Grüße 12", "abcd", "n-17 ab abc", "xx  ", "", None, "GRÜSSE", "a_b%", "foo@example.org 2020", "Zoë àb"]
AMOUNTS = ["10.50", "20", "-3.25", "99.999", "0.005", None, "1234567.89", "5.0", "5.00"]
PRICES = [0.1, 2.5, -7.25, 1e15, 33.333, 0.0, 123.456, 1e-9]


def order(index, seconds=None):
    """One order as a message."""
    out = proto.number(1, index)
    for field, values in ((2, CUSTOMER_NAMES), (3, AMOUNTS)):
        value = values[index % len(values)]
        out += b"" if value is None else proto.data(field, value)
    out += proto.double(4, PRICES[index % len(PRICES)] + index)
    if index % 11:
        out += proto.number(5, index % 5)
    if index % 6:
        out += proto.number(6, index % 2)
    note = NOTES[index % len(NOTES)]
    out += b"" if note is None else proto.data(7, note)
    out += proto.timestamp(8, START + (index * 7 if seconds is None else seconds), index % 4 * 250_000_000)
    out += proto.data(9, f"{index % 3} days 0{index % 7}:{index % 60:02}:30.5") + proto.data(10, f"2020-{index % 12 + 1:02}-{index % 28 + 1:02}")
    return out + proto.data(11, bytes([index % 256, 255])) + proto.number(12, index * 123_456_789_123)


def customer(index):
    name = ["ann", "bob", "eve", "kim", "zoe"][index % 5]
    return (proto.data(1, name) + proto.data(2, ["eu", "us", "asia"][index * 7 // 3 % 3]) + proto.data(3, f"{index * 37 % 200}.{index % 10}0")
            + proto.data(4, f"20{10 + index % 12}-0{index % 9 + 1}-15") + proto.double(5, index * 0.1 + (1e14 if index % 13 == 7 else 0)))


# Outliers that come and go: two that overflow the sum while both are there, infinities, NaN. What is left when the recording ends, and
# when tests have gone on from it, are values that are lost beside each other in a double.
READING_VALUES = [float("nan"), -2.5, -1e16, 3.7, 1e-310, 0.3, 1.5e308, float("-inf"), 1.6e308, 1e16, 7e-5, 2.0, -0.0, 0.1, float("inf"), 1e300]


def reading(index):
    return (proto.data(1, f"s{index % 5}") + proto.data(2, ["warm", "wet"][index % 5 % 2])
            + proto.double(3, READING_VALUES[index % len(READING_VALUES)]))


def badge(moment):
    """Subject, payload, headers: the payload has the key, hasn't, or has another one; rows go in either way."""
    name = ["ann", "bob", "eve", "kim"][moment % 4]
    level = proto.number(2, moment)
    if moment % 6 == 5:
        return f"rec.badges.{name}", b"", [{"Braid-Op": "delete"}, {"KV-Operation": "DEL"}, {"Nats-Marker-Reason": "MaxAge"}][moment // 6 % 3]
    return f"rec.badges.{name}", [level, proto.data(1, name) + level, proto.data(1, "zoe") + level][moment % 3], None


def shipment(index):
    person = proto.data(1, f"p{index % 4}") + proto.data(2, ["eu", "us"][index % 2])
    out = proto.data(1, f"s{index}") + proto.data(2, person) + proto.double(3, index / 3) + proto.number(4, index % 3)
    out += proto.timestamp(5, START + index) + proto.data(10, "x") + proto.data(11, proto.number(1, index)) + proto.number(12, index)
    if index % 2:
        out += proto.data(6, proto.number(1, index)) + proto.number(7, index)
    return out + proto.data(8 + index % 2, "way")


def messages(begin, end):
    """(subject, payload, headers) of everything that happens from moment `begin` up to `end`: some ten messages a moment."""
    for moment in range(begin, end):
        if moment % 2 == 0:
            yield "rec.tables.rates", proto.data(1, ["ann", "bob", "eve"][moment // 2 % 3]) + proto.data(2, f"{moment % 7 + 1}.5"), None
        if moment % 9 == 8:
            yield "rec.tables.customers", proto.data(1, ["ann", "bob", "eve", "kim", "zoe"][moment % 5]), {"Braid-Op": "delete"}
        else:
            yield "rec.tables.customers", customer(moment), None
        for index in range(moment * 3, moment * 3 + 3):
            yield "rec.orders", order(index), None
            yield "rec.archived", order(index), None
        if moment % 5 == 4:
            yield "rec.orders", order(moment * 3 + 1, seconds=max(0, moment * 21 - 400)), None  # its window is closed
        if moment >= 8:
            yield "rec.tables.late_orders", order(moment), None
        if moment % 7 == 3:
            yield "rec.orders", b"\x08\xff", None  # garbage
            yield "rec.deals", proto.data(1, "d9"), {"ce-type": "deal_v9"}  # a version that nobody knows
        shop, item = ["north", "south"][moment % 2], ["tea", "rum", "gin"][moment % 3]
        empty = moment % 8 == 7
        yield f"rec.stock.{shop}.{item}", b"" if empty else proto.data(1, shop) + proto.data(2, item) + proto.number(3, moment), None
        if moment % 2:
            yield "rec.deals", proto.data(1, f"d{moment % 4}") + proto.data(2, f"{moment}.25"), None
        else:
            yield "rec.deals", proto.data(1, f"d{moment % 4}") + proto.number(2, moment * 101), {"ce-type": "deal_v1"}
        frames = [proto.data(1, f"/{n % 4}") + proto.number(2, n) for n in range(moment, moment + 3)]
        yield "rec.clicks", b"".join(proto.varint(len(frame)) + frame for frame in frames), None
        yield "rec.shipments", shipment(moment), None
        yield "rec.tables.readings", reading(moment), None
        yield badge(moment)
        when = ["2020-05-01 12:00:00Z", "0044-03-15 10:00:00 BC", "2020-06-01", "+12000-01-01 00:00:00Z", "soon"][moment % 5]
        yield "rec.visits", proto.data(1, f"/{moment % 3}") + proto.data(2, when), None
        if moment >= LAST_TABLE:
            yield "rec.last", order(moment), None
        if moment in (6, 27):
            yield "rec.rare", order(moment), None
        yield "rec.ticks", proto.number(1, moment) + proto.number(2, moment * 3), None


STREAMS = {"R_ORDERS": ["rec.orders"], "R_TABLES": ["rec.tables.>"], "R_STOCK": ["rec.stock.>"], "R_DEALS": ["rec.deals"],
           "R_CLICKS": ["rec.clicks"], "R_SHIPMENTS": ["rec.shipments"], "R_TICKS": ["rec.ticks"], "R_ARCHIVED": ["rec.archived"],
           "R_RARE": ["rec.rare"], "R_BADGES": ["rec.badges.>"], "R_VISITS": ["rec.visits"], "R_LAST": ["rec.last"]}
