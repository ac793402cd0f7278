"""The dataset browser, a part of it in each file."""
