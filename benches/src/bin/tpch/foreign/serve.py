"""The loop of every foreign engine: reads statements as JSON lines, answers with times and numbers of rows."""

import json
import os
import sys
import time

# Engines and their child processes may print what they like: it goes where their errors go.
_answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def _answer(answer):
    print(json.dumps(answer), file=_answers, flush=True)


def serve(version, fetch):
    """Says what the engine is, then runs statements. `fetch` gives all rows of a statement, as something that has a length."""
    _answer({"version": version})
    for line in sys.stdin:
        sql = json.loads(line)["sql"]
        try:
            begin = time.perf_counter()
            rows = len(fetch(sql))
            _answer({"ms": (time.perf_counter() - begin) * 1000, "rows": rows})
        except Exception as error:  # Whatever an engine raises is its answer to this statement.
            _answer({"error": (str(error).strip().splitlines() or [repr(error)])[0]})


files, threads, tables = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
