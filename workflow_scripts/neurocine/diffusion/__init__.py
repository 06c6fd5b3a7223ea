"""Noise, sampling and decoding with the video diffusion model."""
