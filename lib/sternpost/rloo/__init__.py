"""REINFORCE leave-one-out."""
