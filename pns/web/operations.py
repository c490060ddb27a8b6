"""The endpoints of the operator: liveness, readiness, metrics, and the documents of the contract."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from pns.node import Node
from pns.runtime.metrics import Metrics
from pns.web.contract.operation import APPLICATION, Answer, Operation
from pns.web.problems import API_HEADERS
from pns.web.routing import Route
from pns.web.users import answer

Exposition = Callable[[], Awaitable[bytes]]


class Health(Struct, frozen=True, omit_defaults=True):
    """`problems`: the reasons why a node is not ready. `degraded`: the troubles of a ready node."""

    status: str
    problems: list[str] = []
    degraded: list[str] = []


_LIVEZ = Operation(caller="operator", answers=(Answer(200, "It answers.", body=Health),))
_READYZ = Operation(
    caller="operator",
    answers=(Answer(200, "It can serve.", body=Health), Answer(503, "It cannot, and why.", body=Health)),
)
_METRICS = Operation(
    caller="operator",
    answers=(Answer(200, "Prometheus' text format.", body=str, media_type="text/plain"),),
    problems=APPLICATION,
)


class OperatorEndpoints:
    """Open to everybody, and without host names. /metrics is authorized as /notify, unless /metrics is
    public.
    """

    def __init__(
        self,
        node: Node,
        authorize: Callable[[Request], Awaitable[None]],
        exposition: Exposition | None = None,
    ) -> None:
        """`exposition`: the metrics of this node and of the other processes on the same address."""
        self._node = node
        self._exposition = exposition or self._own
        self._authorize = authorize

    @property
    def routes(self) -> list[Route]:
        return [
            Route("GET", "/livez", self.livez, _LIVEZ),
            Route("GET", "/readyz", self.readyz, _READYZ),
            Route("GET", "/metrics", self.metrics, _METRICS),
        ]

    async def livez(self, request: Request, parameters: dict[str, str]) -> Response:
        """Whether the process answers at all."""
        return answer(Health("alive"))

    async def readyz(self, request: Request, parameters: dict[str, str]) -> Response:
        """Whether this node can serve: its store works and the node is not going down."""
        problems = await self._node.problems()
        degraded = self._node.degraded()
        if problems:
            return answer(Health("unready", problems, degraded), status=503)
        return answer(Health("ready", degraded=degraded))

    async def metrics(self, request: Request, parameters: dict[str, str]) -> Response:
        """The metrics in Prometheus' text format."""
        if not self._node.settings.server.public_metrics:
            await self._authorize(request)
        response = Response(await self._exposition(), headers={"content-type": Metrics.CONTENT_TYPE})
        response.raw_headers.extend(API_HEADERS)
        return response

    async def _own(self) -> bytes:
        return self._node.metrics.text()
