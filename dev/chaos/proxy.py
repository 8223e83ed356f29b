"""A proxy that cuts connections at the worst moment."""

import asyncio
import threading
from collections.abc import Awaitable
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any

from dev.services.paths import POSTGRES_PORT, make_folder

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
CHUNK = 65536


class Pair:
    """The connections of one client and to its server; subclasses decide what is cut."""

    def __init__(self, proxy: "Proxy", client: Streams, server: Streams) -> None:
        self.proxy, self.client, self.server = proxy, client, server

    async def run(self) -> None:
        """Forward both directions until one side closes or the connection is cut."""
        directions = [asyncio.ensure_future(self.upwards()), asyncio.ensure_future(self.downwards())]
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        for direction in directions:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)

    async def upwards(self) -> None:
        """Forward data of the client."""
        while data := await self.client[0].read(CHUNK):
            self.server[1].write(data)
            await self.server[1].drain()

    async def downwards(self) -> None:
        """Forward data of the server."""
        while data := await self.server[0].read(CHUNK):
            self.client[1].write(data)
            await self.client[1].drain()


class DroppedCommit(Pair):
    """Forwards COMMIT to PostgreSQL, and sometimes drops the reply."""

    COMMIT = b"COMMIT\0"  # in a Query message
    cutting = False

    async def upwards(self) -> None:
        """Forward data of the client, and detect its commits."""
        while data := await self.client[0].read(CHUNK):
            self.cutting = self.cutting or (self.COMMIT in data and self.proxy.should_cut())
            self.server[1].write(data)
            await self.server[1].drain()

    async def downwards(self) -> None:
        """Forward data of the server, except for the reply to a commit that is to be lost."""
        while data := await self.server[0].read(CHUNK):
            if self.cutting:
                self.proxy.cuts += 1
                return
            self.client[1].write(data)
            await self.client[1].drain()


class DroppedAnswer(Pair):
    """Cuts a web client off: after its request was forwarded, or before the last byte of its response."""

    cut_short = False

    async def upwards(self) -> None:
        """Forward a request; sometimes close the connection before the response."""
        while data := await self.client[0].read(CHUNK):
            self.server[1].write(data)
            await self.server[1].drain()
            if b"\r\n\r\n" in data and self.proxy.should_cut():
                if self.proxy.random.random() < 0.5:
                    self.proxy.cuts += 1
                    return
                self.cut_short = True

    async def downwards(self) -> None:
        """Forward a response; sometimes drop its last byte and close the connection."""
        while data := await self.server[0].read(CHUNK):
            if self.cut_short and data.endswith(b"}"):
                self.client[1].write(data[:-1])
                await self.client[1].drain()
                self.proxy.cuts += 1
                return
            self.client[1].write(data)
            await self.client[1].drain()


class Proxy:
    """Listens on a Unix socket or a local port, and cuts with probability `share`; a context manager.

    Whoever connects is led to the `target` of that moment.
    """

    def __init__(
        self, pair: type[Pair], target: Path | int, entrance: Path | None, share: float = 0, generator: Random | None = None
    ) -> None:
        self.pair, self.target, self.entrance = pair, target, entrance
        self.share, self.random = share, generator or Random(0)  # noqa: S311  (the run must be repeatable)
        self.cuts = 0
        self.port = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def should_cut(self) -> bool:
        """Return at random whether to cut."""
        return self.random.random() < self.share

    def __enter__(self) -> "Proxy":
        self.thread.start()
        self.wait(self.listen())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.wait(self.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def wait(self, work: Any) -> None:
        """Run a coroutine in the proxy's thread, and wait for it."""
        asyncio.run_coroutine_threadsafe(work, self.loop).result()

    async def listen(self) -> None:
        """Start listening."""
        if self.entrance:
            self.server = await asyncio.start_unix_server(self.serve, self.entrance, backlog=512)
        else:
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=512)
            self.port = self.server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and close every connection."""
        self.server.close()
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        try:
            behind = await self.reach()
        except OSError:
            writer.close()
            return
        try:
            await self.pair(self, (reader, writer), behind).run()
        finally:
            behind[1].close()
            writer.close()

    def reach(self) -> Awaitable[Streams]:
        """Connect to the server."""
        if isinstance(self.target, int):
            return asyncio.open_connection("127.0.0.1", self.target)
        return asyncio.open_unix_connection(self.target)


def proxy_socket(folder: Path) -> Path:
    """Return the path of a proxy's socket for PostgreSQL in `folder`, which is created."""
    make_folder(folder, 0o755)
    path = folder / f".s.PGSQL.{POSTGRES_PORT}"
    path.unlink(missing_ok=True)
    return path
