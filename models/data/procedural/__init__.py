"""Endless textured objects from signed distances: recipes, textures, sphere tracing, all in torch."""
