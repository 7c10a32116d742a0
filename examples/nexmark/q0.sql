-- NEXMark q0. Pass-through: what decoding, encoding and committing cost.
CREATE TABLE bid (
  auction   bigint NOT NULL,
  bidder    bigint,
  price     bigint,
  channel   text,
  url       text,
  date_time timestamptz NOT NULL,
  extra     text
) WITH (event_time = 'date_time', watermark = '4 seconds');

CREATE MATERIALIZED VIEW q0 AS
SELECT auction, bidder, price, date_time, extra FROM bid;
