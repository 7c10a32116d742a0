#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""outage.py with half a minute of absence."""
import os
import runpy
import sys

os.environ.setdefault("BRAID_OUTAGE_S", "30")
sys.argv = [sys.argv[0], "test_a_server_that_stops_and_comes_back", "test_a_server_that_hangs"]
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "outage.py"), run_name="__main__")
