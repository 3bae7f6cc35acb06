"""The live pipeline: sources → pose → resample → embedder → matcher → events → bus and store.

`station.py` shows the whole flow in one short function. Needs a bundle, never PyTorch; never imports `training`.
Clients speak to the engine through `messages` and `bus` only.
"""
