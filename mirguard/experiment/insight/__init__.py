"""What lets a person see into an attack: its steps, the model's response along it, and what the model listens to."""
