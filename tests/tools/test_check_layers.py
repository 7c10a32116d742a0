# SPDX-License-Identifier: Apache-2.0
"""tools/check-layers finds each kind of breach, and nothing in what is allowed."""
import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "check-layers")
HEAD = "// SPDX-License-Identifier: Apache-2.0\n// A file.\n"


def breaches(path, body, head=HEAD):
    with tempfile.TemporaryDirectory() as top:
        os.makedirs(os.path.join(top, os.path.dirname(path)))
        with open(os.path.join(top, path), "w", encoding="utf-8") as file:
            file.write(head + body)
        done = subprocess.run([sys.executable, PROGRAM, top], capture_output=True, text=True, check=False)
    found = done.stdout.splitlines()[:-1]
    assert done.returncode == (1 if found else 0), done.stderr
    return found


class CheckLayers(unittest.TestCase):
    def assert_breach(self, path, body, text):
        found = breaches(path, body)
        self.assertEqual(len(found), 1, found)
        self.assertIn(text, found[0])

    def test_a_lower_layer_including_a_higher_one(self):
        self.assert_breach("state/a.c", '#include "processor/task.h"\n', "higher layer processor")

    def test_a_higher_layer_including_a_lower_one_is_fine(self):
        self.assertEqual(breaches("cli/a.c", '#include "base/bytes.h"\n#include "processor/task.h"\n'), [])

    def test_nats_outside_of_the_log(self):
        self.assert_breach("processor/task.c", "void f(void) { nats_Open(-1); }\n", "uses NATS")
        self.assert_breach("processor/task.c", "#include <nats/nats.h>\n", "includes NATS's")
        self.assertEqual(breaches("processor/log/control/a.c", "#include <nats/nats.h>\nvoid f(void) { js_Publish(); }\n"), [])

    def test_rocksdb_outside_of_state(self):
        self.assert_breach("processor/task.c", "void f(void) { rocksdb_close(db); }\n", "uses RocksDB")
        self.assertEqual(breaches("state/a.c", "void f(void) { rocksdb_close(db); }\n"), [])

    def test_pg_query_outside_of_sql(self):
        self.assert_breach("cli/a.c", "void f(void) { pg_query_parse(text); }\n", "uses libpg_query")

    def test_an_operator_that_reads_a_clock(self):
        self.assert_breach("processor/operators/a.c", "void f(void) { clock_gettime(0, &now); }\n", "reads a clock")

    def test_an_expression_that_starts_a_thread(self):
        self.assert_breach("processor/expr/a.c", "void f(void) { pthread_create(&t, 0, run, 0); }\n", "threads")

    def test_results_that_the_c_library_decides(self):
        self.assert_breach("processor/expr/a.c", "double f(double x) { return exp(x); }\n", "same bits everywhere")
        self.assert_breach("processor/codec/a.c", "double f(const char *x) { return strtod(x, NULL); }\n", "same bits everywhere")
        self.assert_breach("processor/operators/a.c", "long double sum;\n", "same bits everywhere")
        self.assertEqual(breaches("processor/expr/a.c", "double f(double x) { return floor(br_exp(x)) + sqrt(x); }\n"), [])

    def test_names_in_comments_and_texts_do_not_count(self):
        self.assertEqual(breaches("processor/expr/a.c", '// nats_Open(), sleep(1)\nconst char *x = "rocksdb_open(";\n'), [])

    def test_operators_including_the_log(self):
        self.assert_breach("processor/operators/a.c", '#include "processor/log/log.h"\n', "processor/operators includes")

    def test_internals_of_another_folder(self):
        self.assert_breach("processor/task.c", '#include "processor/sql/bind_internal.h"\n', "internal to processor/sql")
        self.assertEqual(breaches("processor/sql/a.c", '#include "processor/sql/bind_internal.h"\n'), [])

    def test_a_file_without_its_contract(self):
        found = breaches("base/a.c", "int x;\n", head="// SPDX-License-Identifier: Apache-2.0\n")
        self.assertIn("contract", found[0])


unittest.main()
