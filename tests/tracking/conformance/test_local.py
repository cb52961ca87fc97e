from tracking.testing import Conformance


class TestLocal(Conformance):
    backend_name = "local"
    sdks = ("pandas", "PIL")
