"""What each family of attacks declares of itself; nothing here loads torch."""
