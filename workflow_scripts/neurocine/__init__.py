"""Decode video from fMRI: NeuroCine (arXiv 2402.01590) and Mind-Animator as one library."""

__version__ = "0.1.0"
