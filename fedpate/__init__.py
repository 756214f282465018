"""PATE as a federation on Flower: hospitals vote, only noisy labels leave."""

__version__ = "0.1.0"
