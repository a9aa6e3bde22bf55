#!/usr/bin/python3
"""Draws the layout of monitoring/dashboard.json as SVG, without Grafana.

    docs/images/dashboard.py >docs/images/dashboard.svg

Titles, kinds and queries of the panels, where they stand; no data.
"""

import json
import os
import re
import textwrap
from xml.sax.saxutils import escape

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
COLUMN, ROW, GAP, MARGIN, HEAD = 37, 12, 8, 14, 34


def shortened(query):
    """A query without its selectors, which are the same everywhere."""
    return re.sub(r"\{[^{}]*\}", "", query)


def panel(one):
    """A panel: its frame, title, kind, and first lines of its queries."""
    place = one["gridPos"]
    x = MARGIN + place["x"] * COLUMN
    y = HEAD + MARGIN + place["y"] * ROW
    width, height = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
    yield (f'<rect class="panel" x="{x}" y="{y}" width="{width}" '
           f'height="{height}" rx="4"/>')
    yield f'<text class="title" x="{x + 10}" y="{y + 19}">' \
        f'{escape(one["title"])}</text>'
    yield f'<text class="kind" x="{x + 10}" y="{y + 34}">' \
        f'{escape(one["type"])}</text>'
    lines = []
    for target in one.get("targets", []):
        lines += textwrap.wrap(shortened(target["expr"]), 44)
    if len(lines) > 3:
        lines[2:] = ["…"]
    for number, line in enumerate(lines):
        yield f'<text class="query" x="{x + 10}" y="{y + 52 + 13 * number}">' \
            f'{escape(line)}</text>'


def main():
    with open(os.path.join(TOP, "monitoring/dashboard.json"),
              encoding="utf-8") as file:
        dashboard = json.load(file)
    panels = [one for one in dashboard["panels"] if "gridPos" in one]
    bottom = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in panels)
    width = 2 * MARGIN + 24 * COLUMN - GAP
    height = HEAD + 2 * MARGIN + bottom * ROW - GAP
    print(f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif">
<title>The layout of the dashboard: titles and queries, no data</title>
<style>
.card {{ fill: #ffffff; stroke: #d0d7de; }}
.panel {{ fill: #f6f8fa; stroke: #d0d7de; }}
.name {{ font-size: 15px; font-weight: 600; fill: #1f2328; }}
.title {{ font-size: 11.5px; font-weight: 600; fill: #1f2328; }}
.kind {{ font-size: 11px; fill: #57606a; }}
.query {{ font-size: 9.5px; fill: #0969da; font-family: ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace; }}
@media (prefers-color-scheme: dark) {{
.card {{ fill: #0d1117; stroke: #3d444d; }}
.panel {{ fill: #151b23; stroke: #3d444d; }}
.name, .title {{ fill: #f0f6fc; }}
.kind {{ fill: #9198a1; }}
.query {{ fill: #58a6ff; }}
}}
</style>
<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>
<text class="name" x="{MARGIN}" y="30">{escape(dashboard["title"])}: the layout, not a screenshot</text>""")
    for one in panels:
        print("\n".join(panel(one)))
    print("</svg>")


if __name__ == "__main__":
    main()
