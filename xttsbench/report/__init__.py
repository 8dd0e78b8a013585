"""A run as one page that stands alone: to read, to see, to hear, to send."""

from __future__ import annotations

import tempfile
from pathlib import Path

from xttsbench import store
from xttsbench.report import content, reading, rendering

ENDINGS = {"html": (".html", ".htm"), "md": (".md", ".markdown")}


def write_report(folder: Path, *, html: Path | None = None, md: Path | None = None) -> bool:
    """Write a run's page (report.html in its folder, if `html` names no other) and, if asked, its Markdown.

    Returns whether any timed or replayed request succeeded; the page is written either way, and says so.

    Raises
    ------
    ValueError
        If the folder is no run or of a newer schema, or a file can't be written where it is asked for.
    """
    store.read_meta(folder)
    html = html or folder / "report.html"
    for path, form in ((html, "html"), (md, "md")):
        if path is not None:
            _check(path, form=form)
    run = reading.read(folder)
    gathered = content.gather(run)
    store.replace_text(html, rendering.html(gathered))
    if md is not None:
        store.replace_text(md, rendering.markdown(gathered))
    return len(run.done) > 0


def _check(path: Path, *, form: str) -> None:
    if path.suffix.lower() not in ENDINGS[form]:
        raise ValueError(f"--{form} is {str(path)!r}; it takes a file that ends in {' or '.join(ENDINGS[form])}.")
    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "is a folder" if path.is_dir() else "is in a folder that is not there"
        raise ValueError(f"--{form} is {str(path)!r}, which {what}; give the name of a file.")
    try:
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            pass
    except OSError as error:
        raise ValueError(
            f"can't write to {str(path.parent)!r} ({error.strerror}); choose another place with --{form}."
        ) from error
