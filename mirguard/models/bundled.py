"""The models that are shipped, each as `resources/models/<name>/model.toml` beside its weights (no torch needed to list them)."""

from __future__ import annotations

NAME = "toy-instruments"  # the one to start with where there is no other
NETWORKS = (NAME, "toy-instruments-b", "toy-magnitude-mlp", "toy-magnitude-cnn", "toy-raw-cnn", "toy-crnn")
LEARNERS = ("toy-logistic", "toy-svm", "toy-tree", "toy-nearest")  # without gradients
# NAME, hardened by a defence each
HARDENED = ("toy-adversarial", "toy-distilled", "toy-outlier", "toy-subnetwork", "toy-projected")
NAMES = NETWORKS + HARDENED + LEARNERS
