"""A client that costs little: it asks again and again over many connections, and the kernel throws the
bodies away (MSG_TRUNC), so that what is measured is the server."""

import selectors
import socket
import time

PIECE = 1 << 20


class Connection:
    def __init__(self, port, request):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.request = request
        self.buffer = bytearray(PIECE)
        self.ask()

    def ask(self):
        self.head, self.missing = b"", None
        self.began = time.perf_counter()
        self.socket.sendall(self.request)

    def ready(self):
        """Takes what has come; tells how many bytes of bodies, and whether the answer is whole."""
        if self.missing is None:
            self.head += self.socket.recv(4096)
            head, end, rest = self.head.partition(b"\r\n\r\n")
            if not end:
                return 0, False
            lines = head.split(b"\r\n")
            if lines[0].split(b" ")[1] not in (b"200", b"206"):
                raise RuntimeError(lines[0].decode())
            length = [line for line in lines if line.lower().startswith(b"content-length:")]
            self.missing = int(length[0].split(b":")[1]) - len(rest)
            return len(rest), self.missing == 0
        # Only this answer's bytes: the next one is not asked for before it is whole.
        taken = self.socket.recv_into(self.buffer, PIECE, socket.MSG_TRUNC)
        if taken == 0:
            raise RuntimeError("the connection ended")
        self.missing -= taken
        return taken, self.missing == 0


def pull(port, path, clients, seconds):
    """Pulls again and again; gives answers, bytes and the time it took."""
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n\r\n".encode()
    selector = selectors.EpollSelector()
    for _ in range(clients):
        connection = Connection(port, request)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    began, answers, total = time.perf_counter(), 0, 0
    deadline = began + seconds
    while True:
        for key, _ in selector.select():
            connection = key.data
            try:
                taken, is_whole = connection.ready()
            except BlockingIOError:
                continue
            total += taken
            if is_whole:
                answers += 1
                connection.ask()
        now = time.perf_counter()
        if now > deadline and answers > 0:
            break
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    return answers, total, time.perf_counter() - began
