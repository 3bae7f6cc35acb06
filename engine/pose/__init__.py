"""Pose estimation: image in, poses out. `base` has the protocol, `track` the file format of recorded poses."""
