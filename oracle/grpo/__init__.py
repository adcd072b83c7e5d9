"""Cases and proofs of group-relative policy optimisation."""
