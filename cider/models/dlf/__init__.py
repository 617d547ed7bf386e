"""DLF (Disentangled-Language-Focused): the backbone and its losses."""
