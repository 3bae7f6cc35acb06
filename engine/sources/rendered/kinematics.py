"""From key-pose channels to joints: a torso that leans and twists, two-bone inverse kinematics for the arms, a camera.

World coordinates in metres: x to the picture's right, y up from the floor, z from the worker towards the camera. The
worker faces the camera, so their right hand is on the picture's left (negative x).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.sources.rendered import choreography as ch
from engine.sources.rendered.parameters import Body, View

Array = NDArray[np.float64]

JOINTS = (
    *("head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""body13: `head` is the point between the ears."""
HEAD, L_SHOULDER, R_SHOULDER, L_ELBOW, R_ELBOW, L_WRIST, R_WRIST, L_HIP, R_HIP, L_KNEE, R_KNEE, L_ANKLE, R_ANKLE = (
    range(13)
)

# Fractions of body height (Drillis and Contini's segment lengths, rounded).
HIP_HEIGHT, SHOULDER_HEIGHT, EAR_HEIGHT = 0.518, 0.815, 0.925
HALF_SHOULDERS, HALF_HIPS = 0.104, 0.058
UPPER_ARM, FOREARM = 0.175, 0.150
KNEE_HEIGHT, ANKLE_HEIGHT = 0.285, 0.04


@dataclass(frozen=True)
class Figure:
    """A worker over T frames, in metres."""

    joints: Array
    """(T, 13, 3)."""
    torso: Array
    """(T, 3, 3): columns are the torso's own right-to-left, up and forward axes."""
    head: Array
    """(T, 3, 3): the same for the head."""

    def still(self, i: int) -> Still:
        return Still(self.joints[i], self.torso[i], self.head[i])


@dataclass(frozen=True)
class Still:
    """One frame of a figure."""

    joints: Array
    """(13, 3)."""
    torso: Array
    """(3, 3)."""
    head: Array


def rotation(yaw: Array, pitch: Array, roll: Array) -> Array:
    """Rotations (T, 3, 3): roll about z, then pitch forward about x, then yaw about y. Radians."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    zero, one = np.zeros_like(yaw), np.ones_like(yaw)

    def stack(rows: list[list[Array]]) -> Array:
        return np.stack([np.stack(row, -1) for row in rows], -2)

    about_y = stack([[cy, zero, sy], [zero, one, zero], [-sy, zero, cy]])
    about_x = stack([[one, zero, zero], [zero, cp, -sp], [zero, sp, cp]])
    about_z = stack([[cr, -sr, zero], [sr, cr, zero], [zero, zero, one]])
    return about_y @ about_x @ about_z


def two_bone(shoulder: Array, target: Array, upper: float, lower: float, pole: Array) -> tuple[Array, Array]:
    """Elbow and wrist (T, 3) of an arm that reaches for `target`, the elbow bent towards `pole`.

    A target out of reach is approached with an almost straight arm. Law of cosines.
    """
    reach = target - shoulder
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    axis = reach / np.maximum(distance, 1e-9)
    distance = np.clip(distance, abs(upper - lower) + 0.02, 0.985 * (upper + lower))
    along = (upper**2 - lower**2 + distance**2) / (2 * distance)
    out = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    sideways = pole - (pole * axis).sum(-1, keepdims=True) * axis
    sideways /= np.maximum(np.linalg.norm(sideways, axis=-1, keepdims=True), 1e-9)
    return shoulder + along * axis + out * sideways, shoulder + distance * axis


def pose_figure(channels: Array, root: Array, yaw: Array, own: Array, body: Body) -> Figure:
    """Channels (T, 13), root (T, 3) in metres, body yaw (T,) → the figure.

    Hands are given in the station's frame; where `own` (T,) is 1 they are given in the worker's frame instead, and move
    with the body (walking, turned away).
    """
    h = body.height_m
    frames = len(channels)
    torso = rotation(yaw + channels[:, ch.TWIST], channels[:, ch.LEAN], -channels[:, ch.SIDE])
    pelvis_axes = rotation(yaw + 0.35 * channels[:, ch.TWIST], np.zeros(frames), np.zeros(frames))
    # Leaning forward moves the hips back a little, as balance asks.
    pelvis = root + np.stack(
        [
            -0.05 * h * channels[:, ch.SIDE],
            np.full(frames, HIP_HEIGHT * h),
            -0.07 * h * channels[:, ch.LEAN],
        ],
        -1,
    )
    joints = np.empty((frames, 13, 3))
    spine = (SHOULDER_HEIGHT - HIP_HEIGHT) * h

    def at(axes: Array, x: float, y: float, z: float) -> Array:
        return axes @ np.array([x, y, z])

    half = HALF_SHOULDERS * h * body.shoulders
    joints[:, L_SHOULDER] = pelvis + at(torso, half, spine, 0)
    joints[:, R_SHOULDER] = pelvis + at(torso, -half, spine, 0)
    hips = HALF_HIPS * h * (0.6 + 0.4 * body.build)
    joints[:, L_HIP] = pelvis + at(pelvis_axes, hips, 0, 0)
    joints[:, R_HIP] = pelvis + at(pelvis_axes, -hips, 0, 0)
    for side, hip, knee, ankle in ((1, L_HIP, L_KNEE, L_ANKLE), (-1, R_HIP, R_KNEE, R_ANKLE)):
        foot = root + at(pelvis_axes, side * 1.15 * hips, ANKLE_HEIGHT * h, 0)
        joints[:, ankle] = foot
        joints[:, knee] = joints[:, hip] + (foot - joints[:, hip]) * (
            (HIP_HEIGHT - KNEE_HEIGHT) / (HIP_HEIGHT - ANKLE_HEIGHT)
        )

    head = rotation(
        yaw + 0.6 * channels[:, ch.TWIST] + channels[:, ch.HEAD_YAW],
        0.5 * channels[:, ch.LEAN] + channels[:, ch.HEAD_PITCH],
        -0.4 * channels[:, ch.SIDE],
    )
    neck = pelvis + at(torso, 0, spine + 0.035 * h, 0.005 * h)
    joints[:, HEAD] = neck + at(head, 0, (EAR_HEIGHT - SHOULDER_HEIGHT - 0.035) * h, 0.012 * h)

    upper, lower = UPPER_ARM * h * body.arms, FOREARM * h * body.arms
    facing = rotation(yaw, np.zeros(frames), np.zeros(frames))
    for side, hand, raised, shoulder, elbow, wrist in (
        (1, ch.LEFT, ch.LEFT_ELBOW, L_SHOULDER, L_ELBOW, L_WRIST),
        (-1, ch.RIGHT, ch.RIGHT_ELBOW, R_SHOULDER, R_ELBOW, R_WRIST),
    ):
        local = channels[:, hand] * h
        with_body = root + (facing @ local[..., None])[..., 0]
        target = own[:, None] * with_body + (1 - own[:, None]) * local
        lift = channels[:, raised]
        pole = np.stack([side * (0.45 + 0.9 * lift), -1.0 + 1.1 * lift, np.full(frames, -0.35)], -1)
        pole = (torso @ pole[..., None])[..., 0]
        joints[:, elbow], joints[:, wrist] = two_bone(joints[:, shoulder], target, upper, lower, pole)
    return Figure(joints, torso, head)


class Camera:
    """A pinhole camera in front of the worker, a little above the eyes' height, looking down at the chest."""

    def __init__(self, view: View, size: tuple[int, int]) -> None:
        width, height = size
        self.size = size
        self.position = np.array([0.0, 1.56, 2.45])
        forward = np.array([0.0, 1.145, 0.0]) - self.position
        forward /= np.linalg.norm(forward)
        right = np.array([1.0, 0.0, 0.0])
        up = np.cross(right, forward)
        roll = np.deg2rad(view.roll_deg)
        self.right = np.cos(roll) * right + np.sin(roll) * up
        self.up = np.cos(roll) * up - np.sin(roll) * right
        self.forward = forward
        self.focal = 1.46 * height * view.zoom
        scale = height / 480
        self.centre = np.array([width / 2 + view.shift_px[0] * scale, height / 2 + view.shift_px[1] * scale])

    def project(self, points: Array) -> Array:
        """World points (..., 3) in metres → (..., 3): pixel x, pixel y, and pixels per metre at that depth."""
        offset = np.asarray(points) - self.position
        depth = np.maximum(offset @ self.forward, 0.05)
        scale = self.focal / depth
        x = self.centre[0] + scale * (offset @ self.right)
        y = self.centre[1] - scale * (offset @ self.up)
        return np.stack([x, y, scale], -1)
