from tracking.testing import Conformance


class TestTrackio(Conformance):
    backend_name = "trackio"
    sdks = ("trackio", "pandas")
