"""Personas: saved, brought in, reviewed, and who descends from whom."""
