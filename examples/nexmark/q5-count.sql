-- NEXMark q5-count. The hopping count that q5 stands on, by itself.
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
