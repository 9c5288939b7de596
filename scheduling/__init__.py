"""The brain: what runs at which width. Pure functions of what they are handed."""
