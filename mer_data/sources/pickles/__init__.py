"""Pickle and joblib files, read opcode by opcode: nothing in them runs."""
