from tracking.testing import Conformance


class TestNeptune(Conformance):
    backend_name = "neptune"
    sdks = ("neptune", "pandas")
