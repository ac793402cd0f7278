"""A collection of clips in a table: a dataset to look through, or a queue of unknown sounds for a person to decide on."""
