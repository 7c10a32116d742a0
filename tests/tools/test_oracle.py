# SPDX-License-Identifier: Apache-2.0
"""What the oracle is made of: the rewriting of SQL, and the comparing of rows."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "lib"))
import rows  # noqa: E402
import sqltext  # noqa: E402


def statements(text):
    return [" ".join(statement.split()) for statement in sqltext.Pipeline(text).statements]


class Rewriting(unittest.TestCase):
    def test_options_of_tables_go_and_the_columns_stay(self):
        self.assertEqual(statements("CREATE TABLE t (a numeric(10,2) CHECK (a > 0)) WITH (subject = 'x;y');"),
                         ["CREATE TABLE t (a numeric(10,2) CHECK (a > 0))"])

    def test_a_materialized_view_becomes_a_plain_one_and_is_remembered(self):
        pipeline = sqltext.Pipeline('CREATE MATERIALIZED VIEW "V w" WITH (emit = \'final\') AS SELECT 1 AS x')
        self.assertEqual(pipeline.views, ["V w"])
        self.assertEqual(" ".join(pipeline.statements[0].split()), 'CREATE VIEW "V w" AS SELECT 1 AS x')

    def test_a_with_clause_of_the_query_stays(self):
        self.assertEqual(statements("CREATE VIEW v AS WITH c AS (SELECT 1) SELECT * FROM c"),
                         ["CREATE VIEW v AS WITH c AS (SELECT 1) SELECT * FROM c"])

    def test_settings_of_braid_and_comments_are_left_out(self):
        self.assertEqual(statements("SET braid.pipeline = 'x'; COMMENT ON TABLE t IS 'a;b'; -- nothing;\n"), [])

    def test_a_window_keeps_its_alias_and_gets_one_when_it_has_none(self):
        named = statements("CREATE VIEW v AS SELECT w.a FROM tumble(t, at, interval '1 minute') w WHERE a > 1")[0]
        self.assertIn("IS NOT NULL) w WHERE", named)
        bare = statements("CREATE VIEW v AS SELECT a FROM hop(t, at, interval '1 s', interval '1 minute') GROUP BY a")[0]
        self.assertIn("AS hop GROUP BY", bare)

    def test_a_table_without_columns_is_refused(self):
        with self.assertRaises(sqltext.Unsupported):
            statements("CREATE TABLE t WITH (message = 'a.B')")

    def test_semicolons_in_texts_do_not_end_statements(self):
        self.assertEqual(len(list(sqltext.split("SELECT ';' , $$;$$, \";\" /* ; */; SELECT 2;"))), 2)


class Comparing(unittest.TestCase):
    def differences(self, want, got, tolerance=0.0):
        return rows.differences([rows.parse(line) for line in want], [rows.parse(line) for line in got], tolerance)

    def test_numbers_are_compared_by_value_and_exactly(self):
        self.assertEqual(self.differences(['{"view":"v","row":{"a":1.50}}'], ['{"view":"v","row":{"a":1.5}}']), ([], []))
        missing, extra = self.differences(['{"view":"v","row":{"a":100000000000000000000.000001}}'],
                                          ['{"view":"v","row":{"a":100000000000000000000.000002}}'])
        self.assertEqual((len(missing), len(extra)), (1, 1))

    def test_a_text_is_no_number_and_true_is_not_one(self):
        for other in ('"1"', "true", "null"):
            missing, _ = self.differences(['{"view":"v","row":{"a":1}}'], ['{"view":"v","row":{"a":%s}}' % other])
            self.assertEqual(len(missing), 1, other)

    def test_equal_rows_count_as_often_as_they_come(self):
        line = '{"view":"v","row":{"a":1}}'
        self.assertEqual(len(self.differences([line, line], [line])[0]), 1)
        self.assertEqual(len(self.differences([line], [line, line])[1]), 1)

    def test_within_the_tolerance_is_the_same(self):
        pair = ['{"view":"v","row":{"a":0.1}}'], ['{"view":"v","row":{"a":0.10000000000000001}}']
        self.assertEqual(len(self.differences(*pair)[0]), 1)
        self.assertEqual(self.differences(*pair, tolerance=1e-9), ([], []))

    def test_a_quarantined_line_names_only_what_matters_but_each_needs_one_of_its_own(self):
        want = ['{"quarantined":"t","reason":"check"}']
        got = ['{"quarantined":"t","reason":"check","detail":"x"}']
        self.assertEqual(self.differences(want, got), ([], []))
        self.assertEqual(len(self.differences(want * 2, got)[0]), 1)


unittest.main()
