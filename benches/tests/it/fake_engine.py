#!/usr/bin/env python3
"""A Python with an engine, or a program that is one, that does whatever one may do: answers, right and wrong, an error, and ending in the middle."""

import json
import sys

ANSWERS = {
    "-- Q1": {"ms": 3.0, "rows": 3},
    "-- Q4": {"error": "no such function"},
    "-- Q6": {"ms": 5.0, "rows": 1},
    "-- Q14": {"ms": 7.0, "rows": 1},
}

arguments = sys.argv[1:]
scripted = arguments[0] == "-c"
if scripted:
    assert "def serve(" in arguments[1], "called with a script"
    arguments = arguments[2:]
files, threads, *tables = arguments
assert tables and int(threads) > 0, "called with threads and tables"
print(json.dumps({"version": "0.1 of a fake" if scripted else "0.1 of a program"}), flush=True)
for line in sys.stdin:
    query = json.loads(line)["sql"].split(",")[0]
    if query not in ANSWERS:
        sys.exit(3)
    print(json.dumps(ANSWERS[query]), flush=True)
