"""The report as a web page that needs nothing from outside, and that no script can get into."""

from __future__ import annotations

from datetime import UTC
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from .report import HealthReport, HealthRow

CONTENT_SECURITY_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE: Final = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3em .8em .3em 0; border-bottom: 1px solid #ddd; vertical-align: top }
td { overflow-wrap: anywhere }
.good { color: #176c2c } .warning { color: #8a5a00 } .error { color: #b00020; font-weight: bold }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #1b1b1b } th, td { border-color: #444 }
  .good { color: #6fce86 } .warning { color: #e0b050 } .error { color: #ff7b8a }
}
"""
_COLUMNS: Final = ("Name", "Status", "Expiration date", "Location", "Detail")


def render_page(report: HealthReport) -> str:
    """Return the page (HTML 5)."""
    overall = {"OK": "good", "Warning": "warning", "Error": "error"}[report.status]
    sections = []
    for authority in dict.fromkeys(row.authority for row in report.rows):
        rows = "\n".join(_row(row) for row in report.rows if row.authority == authority)
        heads = "".join(f'<th scope="col">{column}</th>' for column in _COLUMNS)
        sections.append(
            f"<h2>{escape(authority)}</h2>\n<table>\n<thead><tr>{heads}</tr></thead>\n"
            f"<tbody>\n{rows}\n</tbody>\n</table>"
        )
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>ndes-lab: {report.status}</title><style>{_STYLE}</style></head>
<body>
<h1>Enterprise PKI: <span class="{overall}">{report.status}</span></h1>
<p>Looked at {_time(report.checked_at)}. A test PKI, not for production.</p>
{chr(10).join(sections)}
</body>
</html>
"""


def _row(row: HealthRow) -> str:
    kind = "error" if row.is_error else "good" if row.status.value == "OK" else "warning"
    states = ", ".join(state.value for state in row.states if state.value != row.status.value)
    detail = "; ".join(part for part in (states, row.detail) if part)
    cells = (row.name, row.status.value, _time(row.ends), row.url or "", detail)
    shown = "".join(
        f'<td class="{kind}">{escape(cell)}</td>' if place == 1 else f"<td>{escape(cell)}</td>"
        for place, cell in enumerate(cells)
    )
    return f"<tr>{shown}</tr>"


def _time(instant: datetime | None) -> str:
    return "" if instant is None else f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
