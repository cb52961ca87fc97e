from tracking.testing import Conformance


class TestTensorBoard(Conformance):
    backend_name = "tensorboard"
    sdks = ("tensorboard", "pandas")
