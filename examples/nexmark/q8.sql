-- NEXMark q8. Who opened an auction within the 10 seconds in which they registered.
CREATE TABLE person (
  id            bigint NOT NULL,
  name          text,
  email_address text,
  credit_card   text,
  city          text,
  state         text,
  date_time     timestamptz NOT NULL,
  extra         text
) WITH (event_time = 'date_time', watermark = '4 seconds');
CREATE TABLE auction (
  id          bigint NOT NULL,
  item_name   text,
  description text,
  initial_bid bigint,
  reserve     bigint,
  date_time   timestamptz NOT NULL,
  expires     timestamptz,
  seller      bigint,
  category    bigint,
  extra       text
) WITH (event_time = 'date_time', watermark = '4 seconds');

CREATE MATERIALIZED VIEW newcomers AS
SELECT id, name, window_start FROM tumble(person, date_time, interval '10 seconds') GROUP BY id, name, window_start;

CREATE MATERIALIZED VIEW sellers AS
SELECT seller, window_start, count(*) AS auctions
FROM tumble(auction, date_time, interval '10 seconds') GROUP BY seller, window_start;

CREATE MATERIALIZED VIEW q8 AS
SELECT n.id, n.name, n.window_start
FROM newcomers n JOIN sellers s ON s.seller = n.id AND s.window_start = n.window_start;
