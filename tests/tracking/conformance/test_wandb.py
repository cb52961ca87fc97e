from tracking.testing import Conformance


class TestWandb(Conformance):
    backend_name = "wandb"
    sdks = ("wandb", "pandas")
    steps = 1_400  # the client takes 0.4 ms a step
