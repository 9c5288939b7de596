"""A ladder network trained on a GPU that is at hand for minutes only."""
