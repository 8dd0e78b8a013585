"""The two forms of a report: a page that stands alone, and Markdown for a pull request. What users wrote stays text in both."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from xttsbench.report.clips import MOST_S
from xttsbench.report.content import Content
from xttsbench.report.tables import Table

HERE = Path(__file__).parent
MEANINGS = (
    ("ttfc", "time to first chunk: from the request to the first audio that is not empty, in host memory"),
    ("safe start", "from the request to the first audible sample of a playback that then has no gap"),
    ("prebuffer", "the least head start after the first chunk with which playback has no gap"),
    ("stalls", "how often a player that starts at the first chunk falls silent"),
    ("rtf", "real-time factor: synthesis time over audio time; below 1 is faster than real time"),
    ("seam", "where one chunk meets the next, inside a sentence or between two"),
    ("control", "a place of the same audio that is no seam but is like one in voicing and level"),
    (
        "stands out",
        "is beyond the 99th percentile of controls, as 1 % of seams are by chance; no threshold of hearing. By a number: "
        "exceeds its own controls by so many of their spreads",
    ),
    (
        "click",
        "how far a jump at the seam exceeds the speech around it, in robust deviations: standard deviations told from medians",
    ),
    ("dip", "how much quieter the inside of a cross-fade is than its two sides"),
    ("x own", "the pause at the seam in median pauses of the same audio; near 1 it sounds natural"),
    ("pitch cents", "the step in pitch at the seam; 100 cents are a semitone"),
    (
        "[low, high]",
        "a 95 % bootstrap interval of the median; settings whose intervals overlap are not told apart here",
    ),
)


def html(content: Content) -> str:
    """Return the page: everything in one file, no script, nothing fetched."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode("ascii")
    return environment.get_template("page.html.j2").render(c=content, meanings=MEANINGS, most_s=MOST_S)


def markdown(content: Content) -> str:
    """Return the report's words and tables as Markdown, without figures and sound."""
    parts = [f"## xttsbench: {escaped(content.name)}", f"{escaped(content.about)}."]
    parts += [f"**{escaped(question)}** {escaped(answer)}" for question, answer in content.verdict.items()]
    if content.verdicts:
        parts.append(_listed(content.verdicts))
    if content.warnings:
        parts += ["### Be careful", _listed(content.warnings)]
    for table in content.results:
        parts += [f"**{escaped(table.caption)}**", _tabled(table)]
    for table in content.background:
        parts += [f"<details><summary>{escaped(table.caption)}</summary>", _tabled(table), "</details>"]
    parts += ["Made by", _fenced(content.command), "Next", _fenced(content.next_step)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    r"""Return text that Markdown shows as it is, on one line.

    Examples
    --------
    >>> print(escaped("a|b <script>\n*x* @you"))
    a\|b \<script\> \*x\* \@you
    """
    return re.sub(r"([\\`*_\[\]<>|#~$&@!])", r"\\\1", " ".join(text.split()))


def _listed(sentences: tuple[str, ...]) -> str:
    return "\n".join(f"- {escaped(sentence)}" for sentence in sentences)


def _tabled(table: Table) -> str:
    rules = ["---" if k < table.labels else "---:" for k in range(len(table.columns))]
    rows = [[escaped(cell) for cell in row] for row in (table.columns, *table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rules, *rows[1:]])


def _fenced(command: str) -> str:
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", command)), default=0))
    return f"{ticks}\n{command}\n{ticks}"
