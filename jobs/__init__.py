"""Everything behind the API: the record of an image, the services it lives in, and the work on it."""
