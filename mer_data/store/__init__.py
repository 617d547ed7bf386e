"""The feature store: one HDF5 file per corpus and alignment."""
