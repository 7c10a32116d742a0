-- NEXMark q7. Highest bid of every 10 seconds, and whose it was.
CREATE TABLE bid (
  auction   bigint NOT NULL,
  bidder    bigint,
  price     bigint,
  channel   text,
  url       text,
  date_time timestamptz NOT NULL,
  extra     text
) WITH (event_time = 'date_time', watermark = '4 seconds');

CREATE MATERIALIZED VIEW highest AS
SELECT window_start, max(price) AS price FROM tumble(bid, date_time, interval '10 seconds') GROUP BY window_start;

CREATE MATERIALIZED VIEW bids AS
SELECT window_start, auction, bidder, price, count(*) AS times
FROM tumble(bid, date_time, interval '10 seconds') GROUP BY window_start, auction, bidder, price;

CREATE MATERIALIZED VIEW q7 AS
SELECT b.auction, b.bidder, b.price, b.window_start
FROM bids b JOIN highest h ON h.window_start = b.window_start AND h.price = b.price;
