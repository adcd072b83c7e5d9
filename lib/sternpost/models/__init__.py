"""Loading a policy, scoring its tokens without holding logits, and the layouts of a batch that attention understands."""
