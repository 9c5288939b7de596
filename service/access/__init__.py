"""Keys of clients, what they may do, and what they have left."""
