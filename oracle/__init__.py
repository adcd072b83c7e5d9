"""Runs every case of training in TRL 1.16.0 and in Sternpost and compares loss, gradient and metrics of each step."""
