-- NEXMark q4. Average price of the winning bids by category: a view over a view, with retractions.
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

CREATE MATERIALIZED VIEW winning AS
SELECT a.id, a.category, max(b.price) AS final
FROM bid b JOIN auction a ON a.id = b.auction
WHERE b.date_time >= a.date_time AND b.date_time <= a.expires
GROUP BY a.id, a.category;

CREATE MATERIALIZED VIEW q4 AS
SELECT category, avg(final) AS final FROM winning GROUP BY category;
