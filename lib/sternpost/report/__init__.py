"""A training run -> one self-contained HTML page: curves, tables, samples; no script, no external resource.

`run.py` reads the run directory, `sections.py` says what a page can show, `chart.py` draws curves as inline SVG,
`page.py` puts it together with the style sheet.
"""

from .page import write_page
from .run import read_log_history, run_report
from .sections import Comparison, Curves, Samples, Section, Table

__all__ = ["Comparison", "Curves", "Samples", "Section", "Table", "read_log_history", "run_report", "write_page"]
