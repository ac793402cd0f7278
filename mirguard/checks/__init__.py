"""Is a robustness figure to be believed? Twenty-five questions, each answered with its evidence."""
