"""Attention and occlusion of the fMRI encoder on the cortical surface."""
