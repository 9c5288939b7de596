"""Image files: headers, decoding, encoding, colour, and resampling without a network."""
