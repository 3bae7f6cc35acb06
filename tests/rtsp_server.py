"""A real RTSP server for the tests: GStreamer's, run by the system's Python, which has its bindings.

/usr/bin/python3 rtsp_server.py PORT WIDTH HEIGHT FPS [USER PASSWORD]     serves rtsp://127.0.0.1:PORT/camera
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

port, width, height, fps = (int(text) for text in sys.argv[1:5])
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(str(port))
factory = GstRtspServer.RTSPMediaFactory()
encode = (
    "openh264enc gop-size=15 ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1"
    if Gst.ElementFactory.find("openh264enc")
    else "jpegenc ! rtpjpegpay name=pay0 pt=26"
)
factory.set_launch(
    f"( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width={width},height={height},framerate={fps}/1"
    f" ! {encode} )"
)
factory.set_shared(True)
if len(sys.argv) > 5:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(sys.argv[5], sys.argv[6]), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)
server.get_mount_points().add_factory("/camera", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
