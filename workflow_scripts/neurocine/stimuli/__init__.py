"""Movies, clips, captions, embeddings and latents."""
