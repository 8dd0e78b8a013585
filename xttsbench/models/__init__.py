"""Where a model and a voice come from."""
