"""Cases and proofs of preference optimisation."""
