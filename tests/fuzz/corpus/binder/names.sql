CREATE TABLE "T ü" ("a.b" int, "SELECT" text, u&"d\0061t" date);
CREATE MATERIALIZED VIEW "V""v" AS SELECT "T ü"."a.b" AS "x y", "SELECT" FROM "T ü";