"""What is lost when power, disk or server fails: measured on real servers, by `anysr bench`."""
