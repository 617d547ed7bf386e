"""Kernels of the attention and of its loss, each beside its plain formula."""
