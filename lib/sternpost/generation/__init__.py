"""Completions of prompts: one small seam, and what is behind it.

sync(model)                 the backend has the policy's weights from now on
sample(groups, sampling)    token ids of prompts -> completions with their log-probabilities
"""
