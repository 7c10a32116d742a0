-- On NEXMark events: a sum for every key that ever was: for state that outgrows its memory.
CREATE TABLE bid (
  auction   bigint NOT NULL,
  bidder    bigint,
  price     bigint,
  channel   text,
  url       text,
  date_time timestamptz NOT NULL,
  extra     text
) WITH (event_time = 'date_time', watermark = '4 seconds');

CREATE MATERIALIZED VIEW by_bidder AS
SELECT bidder, count(*) AS bids, sum(price) AS total FROM bid GROUP BY bidder;
