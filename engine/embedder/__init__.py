"""From poses to embeddings, one tick at a time.

`base` has two protocols: a *runtime* runs a bundle's step graph for a batch, without memory of its own; the *embedder*
is one station's memory (crop and caches) around it. One file per runtime.
"""
