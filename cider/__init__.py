"""CIDer (Causal Inference Distiller): a small model robust to missing features and shifted words."""
