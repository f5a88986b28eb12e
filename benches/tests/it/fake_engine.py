#!/usr/bin/env python3
"""A Python with an engine that does whatever one may do: answers, right and wrong, an error, and ending in the middle."""

import json
import sys

ANSWERS = {
    "-- Q1": {"ms": 3.0, "rows": 3},
    "-- Q4": {"error": "no such function"},
    "-- Q6": {"ms": 5.0, "rows": 1},
    "-- Q14": {"ms": 7.0, "rows": 1},
}

assert sys.argv[1] == "-c" and "def serve(" in sys.argv[2], "called with a script"
assert sys.argv[5:] and int(sys.argv[4]) > 0, "called with threads and tables"
print(json.dumps({"version": "0.1 of a fake"}), flush=True)
for line in sys.stdin:
    query = json.loads(line)["sql"].split(",")[0]
    if query not in ANSWERS:
        sys.exit(3)
    print(json.dumps(ANSWERS[query]), flush=True)
