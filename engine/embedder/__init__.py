"""From poses to embeddings, one tick at a time.

`base` has the protocols: a *runtime* holds a bundle's weights, its *lanes* the caches of some streams on its device, the
*embedder* is one station's memory around them. One file per runtime; `opening` picks one.
"""

from engine.embedder.opening import embed_sequence, open_embedder

__all__ = ["embed_sequence", "open_embedder"]
