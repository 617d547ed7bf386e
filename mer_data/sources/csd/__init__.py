"""Folders of computational sequences (``.csd``), as the CMU Multimodal SDK publishes them."""
