"""Cases and proofs of REINFORCE leave-one-out."""
