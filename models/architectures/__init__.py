"""The networks. To add one: write its file, add it to `registry.NETWORKS`, add a config."""
