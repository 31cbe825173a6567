"""The figures as a table on the terminal, as JSON, and as docs/performance.md with a plot."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
COLOURS = {"wharf": "#1f6feb", "with a token": "#79b8ff", "docker-registry": "#bf8700", "nginx": "#2da44e", "disk": "#8c959f"}
OTHER = "#8250df"


def write(results, more):
    text = table(results)
    print(text)
    print(f"memory: {more['idle_mib']:.0f} MiB idle; after the loads "
          + ", ".join(f"{peer} {mib:.0f} MiB" for peer, mib in more["memory_mib"].items()))
    target = Path(os.environ.get("BENCH_JSON", "target/bench.json"))
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"machine": machine(), "results": results, **more}, indent=1))
    if os.environ.get("BENCH_DOCS"):
        (DOCS / "performance.svg").write_text(plot(results))
        page = DOCS / "performance.md"
        head, _, rest = page.read_text().partition("<!-- figures -->\n")
        _, _, tail = rest.partition("<!-- end of figures -->\n")
        figures = f"{described(more)}\n\n{markdown(results)}\n"
        page.write_text(f"{head}<!-- figures -->\n{figures}<!-- end of figures -->\n{tail}")


def peers_of(results):
    names = []
    for row in results:
        names += [peer for peer in row["figures"] if peer not in names]
    return names


def ratio(row, peer):
    """How Wharf stands to a peer."""
    ours = row["figures"].get("wharf") or row["figures"].get("with a token")
    theirs = row["figures"].get(peer)
    return ours["value"] / theirs["value"] if theirs and theirs["value"] and theirs is not ours else None


def table(results):
    lines = []
    for row in results:
        lines.append(f"{row['load']} ({row['unit']}, {row['cost_unit']})")
        for peer, one in row["figures"].items():
            times = ratio(row, peer)
            beside = f"   wharf is {times:.2f} x" if times else ""
            lines.append(f"  {peer:<18}{one['value']:>12,.1f}{one['cost']:>12,.2f}{beside}")
    return "\n".join(lines)


def markdown(results):
    names = peers_of(results)
    lines = ["| load | unit | " + " | ".join(names) + " |", "|---|---|" + "---:|" * len(names)]
    for row in results:
        cells = []
        for peer in names:
            one, times = row["figures"].get(peer), ratio(row, peer)
            if one is None:
                cells.append("")
                continue
            beside = f" (× {times:.2f})" if times else ""
            cost = f"<br>{one['cost']:.2f}" if one["cost"] else ""
            cells.append(f"{one['value']:,.0f}{beside}{cost}")
        lines.append(f"| {row['load']} | {row['unit']}<br>{row['cost_unit']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine():
    model = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": model[0] if model else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "date": time.strftime("%Y-%m-%d"),
        "load_before": os.getloadavg()[2],
    }


def described(more):
    kernel = machine()
    notes = "; ".join(f"{peer}: {note}" for peer, note in more["notes"].items())
    memory = ", ".join(f"{peer} {mib:.0f}" for peer, mib in more["memory_mib"].items())
    return (
        f"Measured on {kernel['date']} with `make bench`: {kernel['processor']}, {kernel['cores']} cores, "
        f"Linux {kernel['kernel'].split('-')[0]}. Memory: Wharf {more['idle_mib']:.0f} MiB idle; after the loads, "
        f"in MiB: {memory}. {notes}."
    )


def plot(results):
    """Bars for each load, as parts of the fastest."""
    rows, y = [], 40
    for row in results:
        rows.append(f'<text x="10" y="{y}" class="load">{row["load"]}</text>')
        most = max(one["value"] for one in row["figures"].values())
        for peer, one in row["figures"].items():
            y += 18
            width = max(1, 420 * one["value"] / most)
            colour = COLOURS.get(peer, OTHER)
            rows.append(f'<text x="130" y="{y}" class="peer">{peer}</text>')
            rows.append(f'<rect x="140" y="{y - 11}" width="{width:.0f}" height="14" fill="{colour}"/>')
            rows.append(f'<text x="{146 + width:.0f}" y="{y}" class="value">{one["value"]:,.0f} {row["unit"]}</text>')
        y += 32
    style = (
        "text{font:12px sans-serif;fill:#24292f}.load{font-weight:bold}.peer{text-anchor:end}"
        "@media(prefers-color-scheme:dark){text{fill:#c9d1d9}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {y}" role="img" '
        f'aria-label="Wharf beside its peers">\n<style>{style}</style>\n' + "\n".join(rows) + "\n</svg>\n"
    )
