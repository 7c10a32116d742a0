-- NEXMark q5. Hot items: the auctions with the most bids of the last 10 seconds, every 2 seconds.
CREATE TABLE bid (
  auction   bigint NOT NULL,
  bidder    bigint,
  price     bigint,
  channel   text,
  url       text,
  date_time timestamptz NOT NULL,
  extra     text
) WITH (event_time = 'date_time', watermark = '4 seconds');

CREATE MATERIALIZED VIEW auction_bids AS
SELECT auction, window_start, count(*) AS bids
FROM hop(bid, date_time, interval '2 seconds', interval '10 seconds')
GROUP BY auction, window_start;

CREATE MATERIALIZED VIEW most_bids AS
SELECT window_start, max(bids) AS bids FROM auction_bids GROUP BY window_start;

CREATE MATERIALIZED VIEW q5 AS
SELECT a.auction, a.window_start, a.bids
FROM auction_bids a JOIN most_bids m ON m.window_start = a.window_start AND m.bids = a.bids;
