"""What protocol v2 uses of langgraph's streaming is private there: here it is pinned."""

import inspect

from langgraph.pregel import Pregel
from langgraph.stream._mux import StreamMux
from langgraph.stream.stream_channel import StreamChannel


def test_private_parts_of_langgraph_are_as_they_are_used() -> None:
    mux = StreamMux(factories=[], is_async=True)
    assert type(mux._events) is StreamChannel
    assert (mux._transformers, mux._events._closed) == ([], False)
    assert [*inspect.signature(StreamMux.bind_apump).parameters] == ["self", "fn"]
    for name in ("apush", "aclose", "afail"):
        assert inspect.iscoroutinefunction(getattr(StreamMux, name))
    own = inspect.getsource(Pregel._apregel_stream_v3)
    for used in ("_collect_stream_modes(mux)", "CONFIG_KEY_STREAM_MESSAGES_V2: True", 'version="v2"'):
        assert used in own
    order = [own.index(f"                {name},\n") for name in (
        "ValuesTransformer", "MessagesTransformer", "LifecycleTransformer", "SubgraphTransformer",
    )]  # fmt: skip
    assert order == sorted(order)
