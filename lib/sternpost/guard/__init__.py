"""The compatibility guard: what a package promises, read from its source, and what a change of it breaks.

    source tree --extract--> Snapshot --diff--> Changes --rules--> Findings --report--> text, JSON

Nothing is imported or executed, neither the package under guard nor torch. The commands are in `cli`, the facts of a
snapshot in `facts`, its text form in `snapshot`, the promises themselves in `rules`.
"""
