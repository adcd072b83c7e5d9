"""Cases and proofs of reward modelling."""
