#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""processor/expr/elementary_tables.c is what tools/elementary-tables computes."""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.exit(subprocess.run([sys.executable, os.path.join(ROOT, "tools", "elementary-tables"), "--check"], check=False).returncode)
