"""Where frames come from: one protocol (`base.Source`), one file per kind, `opening.open_source` picks by name."""

import os

# FFmpeg and OpenCV print what they fail to read to stderr, addresses with passwords included. Errors are ours to tell.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2

cv2.setLogLevel(0)
