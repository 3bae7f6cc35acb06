"""The stream benchmark: how well Lockstep and its peers follow live streams.

`followers` builds Lockstep's matcher from labelled recordings; `peers` are what it is compared with; `penn` and
`stations` are the two kinds of streams; `scores` turns followings into figures; `tables` writes them down.
"""
