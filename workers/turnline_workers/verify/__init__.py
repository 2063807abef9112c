"""Checks the promises on stored data, as ``turnline verify`` does."""
