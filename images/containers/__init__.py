"""The containers of encoded images: where their parts lie, found with bounded work."""
