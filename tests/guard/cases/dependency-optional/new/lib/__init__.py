"""Nothing but its metadata."""
