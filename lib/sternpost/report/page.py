"""Sections -> one HTML file."""

from collections.abc import Iterable
from html import escape
from pathlib import Path

from .sections import Section

STYLE = (Path(__file__).parent / "style.css").read_text("utf-8")


def write_page(file: str | Path, title: str, sections: Iterable[Section]) -> Path:
    """Writes the page and returns its path; the directory is made when it is missing."""
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page_html(title, sections), "utf-8")
    return file


def page_html(title: str, sections: Iterable[Section], footer: str = "Sternpost run report") -> str:
    """The page as text, with its style sheet inside."""
    body = "".join(f"<section><h2>{escape(section.title)}</h2>{section.html()}</section>" for section in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}<footer>{escape(footer)}</footer></main></body></html>\n"
    )
