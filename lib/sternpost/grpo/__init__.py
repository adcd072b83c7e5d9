"""Group-relative policy optimisation. Not announced yet: tools, environments and vLLM are to come."""
