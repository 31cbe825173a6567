"""The registries that are measured: how each is started, and what it uses."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

PROGRAMS = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release"
TICKS = os.sysconf("SC_CLK_TCK")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Peer:
    """A server that runs: its port, and the processor time and memory of its processes."""

    def __init__(self, name, command, port, note=""):
        self.name, self.port, self.note = name, port, note
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(500):
            if self.process.poll() is not None:
                sys.exit(f"{command[0]} ended: is it installed? (make tools)")
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        sys.exit(f"{command[0]} does not listen")

    def processes(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [self.process.pid, *map(int, children.read_text().split())]

    def cpu_seconds(self):
        total = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def memory_mib(self):
        """Memory of its own: the page cache, which maps of files show, is the system's."""
        total = 0
        for pid in self.processes():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    total += int(line.split()[1])
        return total / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def ask(self, method, path, body=None, headers={}):
        url = path if path.startswith("http") else f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data=body, method=method, headers=headers)
        return urllib.request.urlopen(request)

    def push_blob(self, content):
        name = "sha256:" + hashlib.sha256(content).hexdigest()
        location = self.ask("POST", "/v2/bench/app/blobs/uploads/", b"").headers["Location"]
        location += ("&" if "?" in location else "?") + "digest=" + name
        self.ask("PUT", location, content, {"Content-Type": "application/octet-stream"})
        return f"/v2/bench/app/blobs/{name}", name

    def push_manifest(self, size):
        """An image with one layer under the tag latest; gives the manifest's path and bytes."""
        _, config = self.push_blob(b"{}")
        layer = os.urandom(size)
        _, name = self.push_blob(layer)
        body = json.dumps({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": name, "size": size}],
        }).encode()
        path = "/v2/bench/app/manifests/latest"
        self.ask("PUT", path, body, {"Content-Type": MANIFEST})
        return path, body


class Wharf(Peer):
    def __init__(self, folder, name="wharf", variables={}):
        port, data = free_port(), folder / name
        # Neither peer writes a line for each request.
        variables = {"WHARF__LOG__LEVEL": "warn", **variables}
        command = ["env", *(f"{key}={value}" for key, value in variables.items())]
        command += [PROGRAMS / "wharf", "serve", "--listen", f"127.0.0.1:{port}", "--data", data]
        super().__init__(name, command, port, "durable")


class DockerRegistry(Peer):
    def __init__(self, folder):
        port, config = free_port(), folder / "docker-registry.yml"
        config.write_text(
            "version: 0.1\n"
            "log: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder / 'docker-registry'}}}}}\n"
            f"http: {{addr: '127.0.0.1:{port}'}}\n"
        )
        super().__init__("docker-registry", ["docker-registry", "serve", config], port, "no fsync of folders")


class Nginx(Peer):
    """Files as fast as a web server sends them: the limit that pulls are held against."""

    def __init__(self, folder):
        port, self.root = free_port(), folder / "nginx"
        (self.root / "logs").mkdir(parents=True)
        config = self.root / "nginx.conf"
        config.write_text(
            f"worker_processes {os.cpu_count()};\ndaemon off;\npid {self.root}/pid;\nerror_log /dev/null;\n"
            "events { worker_connections 1024; }\n"
            "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;\n"
            "  open_file_cache max=1000; default_type application/octet-stream;\n"
            f"  client_body_temp_path {self.root}/logs; proxy_temp_path {self.root}/logs;\n"
            f"  fastcgi_temp_path {self.root}/logs; uwsgi_temp_path {self.root}/logs; scgi_temp_path {self.root}/logs;\n"
            f"  server {{ listen 127.0.0.1:{port}; root {self.root}; }} }}\n"
        )
        (self.root).chmod(0o755)
        command = ["nginx", "-c", config, "-p", self.root, "-g", "user root;"]
        super().__init__("nginx", command, port, "files, sendfile")

    def put(self, name, content):
        (self.root / name).write_bytes(content)
        return f"/{name}"
