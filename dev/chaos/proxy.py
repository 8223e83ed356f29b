"""Something between two ends that cuts connections off at the worst moment."""

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
    """One client's connection and ours to the server behind; subclasses decide what is cut."""

    def __init__(self, proxy: "Proxy", client: Streams, server: Streams) -> None:
        self.proxy, self.client, self.server = proxy, client, server

    async def run(self) -> None:
        """Hand everything on, both ways, until one side ends or the wire is cut."""
        ways = [asyncio.ensure_future(self.upwards()), asyncio.ensure_future(self.downwards())]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    async def upwards(self) -> None:
        """Hand on what the client says."""
        while data := await self.client[0].read(CHUNK):
            self.server[1].write(data)
            await self.server[1].drain()

    async def downwards(self) -> None:
        """Hand on what the server says."""
        while data := await self.server[0].read(CHUNK):
            self.client[1].write(data)
            await self.client[1].drain()


class DroppedCommit(Pair):
    """Lets COMMIT through to PostgreSQL, and now and then keeps the reply to itself."""

    COMMIT = b"COMMIT\0"  # in a Query message
    cutting = False

    async def upwards(self) -> None:
        """Hand on what the client says, and see when it commits."""
        while data := await self.client[0].read(CHUNK):
            self.cutting = self.cutting or (self.COMMIT in data and self.proxy.throw())
            self.server[1].write(data)
            await self.server[1].drain()

    async def downwards(self) -> None:
        """Hand on what the server says, but not that it committed."""
        while data := await self.server[0].read(CHUNK):
            if self.cutting:
                self.proxy.cuts += 1
                return
            self.client[1].write(data)
            await self.client[1].drain()


class DroppedAnswer(Pair):
    """Cuts a web client off: after its request was handed on, or before the last byte of its answer."""

    cut_short = False

    async def upwards(self) -> None:
        """Hand on a request; now and then hang up before it is answered."""
        while data := await self.client[0].read(CHUNK):
            self.server[1].write(data)
            await self.server[1].drain()
            if b"\r\n\r\n" in data and self.proxy.throw():
                if self.proxy.random.random() < 0.5:
                    self.proxy.cuts += 1
                    return
                self.cut_short = True

    async def downwards(self) -> None:
        """Hand on an answer; now and then keep its last byte and hang up."""
        while data := await self.server[0].read(CHUNK):
            if self.cut_short and data.endswith(b"}"):
                self.client[1].write(data[:-1])
                await self.client[1].drain()
                self.proxy.cuts += 1
                return
            self.client[1].write(data)
            await self.client[1].drain()


class Proxy:
    """Listens on a unix socket or on a port of this machine, and cuts with probability `share`; a context manager.

    Whoever connects is led to the `target` of that moment.
    """

    def __init__(
        self, pair: type[Pair], target: Path | int, entrance: Path | None, share: float = 0, dice: Random | None = None
    ) -> None:
        self.pair, self.target, self.entrance = pair, target, entrance
        self.share, self.random = share, dice or Random(0)  # noqa: S311  (the run must be repeatable)
        self.cuts = 0
        self.port = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def throw(self) -> bool:
        """Throw the dice."""
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
        """Have the proxy's thread do something, and wait for it."""
        asyncio.run_coroutine_threadsafe(work, self.loop).result()

    async def listen(self) -> None:
        """Open the entrance."""
        if self.entrance:
            self.server = await asyncio.start_unix_server(self.serve, self.entrance, backlog=512)
        else:
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=512)
            self.port = self.server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Close the entrance and every connection."""
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
        """Connect to the server behind."""
        if isinstance(self.target, int):
            return asyncio.open_connection("127.0.0.1", self.target)
        return asyncio.open_unix_connection(self.target)


def proxy_socket(folder: Path) -> Path:
    """Return the socket in `folder` at which a proxy passes for PostgreSQL; the folder is made."""
    make_folder(folder, 0o755)
    path = folder / f".s.PGSQL.{POSTGRES_PORT}"
    path.unlink(missing_ok=True)
    return path
