"""Pictures that the gateway fetches itself: from URLs and from buckets of S3 stores."""
