-- NEXMark q3. Local item suggestion: an updating join; who sells in three states, in category 10.
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
CREATE TABLE person (
  id            bigint PRIMARY KEY,
  name          text,
  email_address text,
  credit_card   text,
  city          text,
  state         text,
  date_time     timestamptz NOT NULL,
  extra         text
);

CREATE MATERIALIZED VIEW q3 AS
SELECT p.name, p.city, p.state, a.id
FROM auction a JOIN person p ON p.id = a.seller
WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA');
