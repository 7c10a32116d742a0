-- On NEXMark events: the same with both sides stored: an auction that changes or comes late changes what was joined.
CREATE TABLE bid (
  auction   bigint NOT NULL,
  bidder    bigint,
  price     bigint,
  channel   text,
  url       text,
  date_time timestamptz NOT NULL,
  extra     text
) WITH (event_time = 'date_time', watermark = '4 seconds');
CREATE TABLE auction (
  id          bigint PRIMARY KEY,
  item_name   text,
  description text,
  initial_bid bigint,
  reserve     bigint,
  date_time   timestamptz NOT NULL,
  expires     timestamptz,
  seller      bigint,
  category    bigint,
  extra       text
);

CREATE MATERIALIZED VIEW enriched AS
SELECT b.auction, b.bidder, b.price, b.date_time, a.category, a.seller
FROM bid b JOIN auction a ON a.id = b.auction;
