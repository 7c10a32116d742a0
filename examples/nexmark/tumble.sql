-- On NEXMark events: count and sum by auction in tumbling windows.
CREATE TABLE bid (
  auction   bigint NOT NULL,
  bidder    bigint,
  price     bigint,
  channel   text,
  url       text,
  date_time timestamptz NOT NULL,
  extra     text
) WITH (event_time = 'date_time', watermark = '4 seconds');

CREATE MATERIALIZED VIEW per_auction AS
SELECT auction, window_start, count(*) AS bids, sum(price) AS total
FROM tumble(bid, date_time, interval '10 seconds')
GROUP BY auction, window_start;
