"""Judging a model: offline protocols with their controls, seeded streams, and the online benchmark."""
