"""Checks the figures that `quarry demo --json` wrote: 22 right answers, and scans that were read where their blocks lie."""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    figures = json.load(file)

wrong = [query["id"] for query in figures["queries"] if not query["ok"]]
assert len(figures["queries"]) == 22, f"expected 22 queries, found {len(figures['queries'])}"
assert not wrong, f"wrong answers: {wrong}"
local = sum(query["local_bytes"] for query in figures["queries"])
remote = sum(query["remote_bytes"] for query in figures["queries"])
assert local > 0, "no byte was read locally"
assert local / (local + remote) >= 0.95, f"local share {local / (local + remote):.3f}, expected at least 0.95"
print(f"demo: 22 of 22 right, local share {local / (local + remote):.3f}")
