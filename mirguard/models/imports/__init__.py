"""Models that somebody brings: looked into before anything of them is used, wrapped, tried out and checked."""
