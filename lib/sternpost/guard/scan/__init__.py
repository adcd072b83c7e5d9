"""`guard scan`: every contact of a downstream project with a package, and what another version does to each.

    files -> code -> codebase -> contacts (uses, classes, texts) -> judge (two libraries) -> report

`files` reads, `code` indexes one module, `codebase` resolves names across modules; the project and each version of the
package go through the same three. Nothing of either is imported or executed.
"""
