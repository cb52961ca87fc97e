"""What TensorBoard's page "Custom scalars" shows: the curves that belong together in one chart."""

from __future__ import annotations

from typing import Any

from tracking.events import BATCH, EVALUATION

_CHARTS = {
    "Training": {
        "Losses of G and D": rf"^{BATCH}/[GD]loss$",
        "D(x) and D(G(z))": rf"^{BATCH}/(D_x|D_G_z1)$",
    },
    "Quality": {
        "FID, lower is better": rf"^{EVALUATION}/(?!best_)\w*fid$",
        "KID, lower is better": rf"^{EVALUATION}/(?!best_)\w*kid$",
        "Precision and recall, higher is better": rf"^{EVALUATION}/(?!best_)\w*(precision|recall)$",
    },
}
"""By category: the titles of its charts, and the regular expression of the metrics in each."""


def layout_summary() -> Any:
    """The layout as a summary; TensorBoard joins those of all runs by their categories."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata

    categories = [
        layout_pb2.Category(
            title=category,
            chart=[
                layout_pb2.Chart(
                    title=title, multiline=layout_pb2.MultilineChartContent(tag=[tags])
                )
                for title, tags in charts.items()
            ],
        )
        for category, charts in _CHARTS.items()
    ]
    layout = layout_pb2.Layout(category=categories).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME)
    return Summary.Value(
        tag=metadata.CONFIG_SUMMARY_TAG,
        tensor=TensorProto(dtype=DT_STRING, string_val=[layout], tensor_shape={}),
        metadata=SummaryMetadata(plugin_data=plugin),
    )
