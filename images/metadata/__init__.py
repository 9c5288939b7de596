"""What a file states beside samples and colours: read within bounds, cleaned, and written."""
