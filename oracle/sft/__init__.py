"""Cases and proofs of supervised fine-tuning."""
