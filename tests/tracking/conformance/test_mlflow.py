from tracking.testing import Conformance


class TestMlflow(Conformance):
    backend_name = "mlflow"
    sdks = ("mlflow", "pandas")
