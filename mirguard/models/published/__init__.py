"""Models that others published, and how their weights are fetched and read."""
