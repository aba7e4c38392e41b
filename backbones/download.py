"""One address to one file: progress bar, retries, resume after a break; whole or not there at all.

torch.hub's download_url_to_file gives up at the first broken connection and waits for ever on a
silent one; checkpoints of several GB need better.
"""

import os
import tempfile
from pathlib import Path
from typing import IO

import requests
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.util import Retry

_BREAKS = 5  # how often a transfer that has begun may break off


def download(address: str, path: Path) -> None:
    """Raises requests.RequestException: no network (after 10 s at most), refused, or broken."""
    session = requests.Session()
    retry = Retry(total=5, connect=1, backoff_factor=0.5, status_forcelist=[429, 502, 503, 504])
    session.mount("https://", HTTPAdapter(max_retries=retry))
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            _receive(session, address, file, path.name)
        os.chmod(part, 0o644)  # mkstemp makes it readable for its owner alone
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)


def _receive(session: requests.Session, address: str, file: IO[bytes], title: str) -> None:
    with tqdm(desc=title, unit="B", unit_scale=True, unit_divisor=1024) as bar:
        for again in reversed(range(_BREAKS)):
            here, begun = file.tell(), False
            headers = {"Range": f"bytes={here}-"} if here else {}
            try:
                with session.get(address, headers=headers, stream=True, timeout=(5, 60)) as answer:
                    answer.raise_for_status()
                    begun = True
                    if answer.status_code != requests.codes.partial_content:
                        file.seek(0)
                        file.truncate()
                    bar.total = file.tell() + int(answer.headers.get("content-length", 0)) or None
                    bar.update(file.tell() - bar.n)
                    for chunk in answer.iter_content(1 << 16):
                        bar.update(file.write(chunk))
                return
            except (requests.exceptions.ChunkedEncodingError, requests.ConnectionError):
                if not (begun or here) or not again:  # nothing ever came: no break, but no network
                    raise
