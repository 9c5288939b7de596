"""The `anysr` command."""
