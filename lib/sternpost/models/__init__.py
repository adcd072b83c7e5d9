"""Loading a policy, scoring its tokens without holding logits, and keeping rows apart in attention."""
