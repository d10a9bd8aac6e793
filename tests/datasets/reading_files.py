"""Files as people upload them, sound and broken, made in the test that reads them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import docx

from datasets.reading import Problem, ReadOptions, Text, read_here

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 1, 1, 8, 2, 0, 0, 0) + b"\0" * 40
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504


def found_in(path: Path, **options: object) -> list[Text | Problem]:
    return list(read_here(path, path.name, ReadOptions(**options)))


def text_of(path: Path, **options: object) -> Text:
    """The only document of a file."""
    [text] = [found for found in found_in(path, **options) if isinstance(found, Text)]
    return text


def texts_of(path: Path, **options: object) -> list[Text]:
    return [found for found in found_in(path, **options) if isinstance(found, Text)]


def problems_of(path: Path, **options: object) -> list[Problem]:
    return [found for found in found_in(path, **options) if isinstance(found, Problem)]


# A PDF, written by hand: each line is (left, height, size, bold, words).
Line = tuple[float, float, float, bool, str]


def body(lines: Sequence[str], top: float = 700, left: float = 72, leading: float = 14) -> list[Line]:
    """Lines of one size below each other; an empty string leaves a gap."""
    return [(left, top - number * leading, 11, False, line) for number, line in enumerate(lines) if line]


def pdf(pages: Sequence[Sequence[Line]], *, picture: bool = False, locked: bool = False, title: str = "") -> bytes:
    """A PDF of the given pages. `picture` puts a small image on each; `locked` asks for a password nobody knows."""
    count = len(pages)
    kids = " ".join(f"{6 + 2 * number} 0 R" for number in range(count))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
        _stream(
            b"/Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8", b"\x80"
        ),
    ]
    for number, lines in enumerate(pages):
        objects += _page(lines, 7 + 2 * number, picture)
    extra = f"/Info {len(objects) + 1} 0 R" if title else ""
    if title:
        objects.append(f"<< /Title ({title}) >>".encode())
    if locked:
        secret = "<" + "5A" * 32 + ">"
        objects.append(f"<< /Filter /Standard /V 1 /R 2 /O {secret} /U {secret} /P -4 >>".encode())
        extra += f" /Encrypt {len(objects)} 0 R /ID [<00> <00>]"
    return _assembled(objects, extra)


def _page(lines: Sequence[Line], contents: int, picture: bool) -> list[bytes]:
    page = (
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R /F2 4 0 R >> "
        f"/XObject << /Im 5 0 R >> >> /Contents {contents} 0 R >>"
    )
    drawn = [b"q 500 0 0 700 40 60 cm /Im Do Q"] if picture else []
    for left, height, size, bold, words in lines:
        escaped = words.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)").encode("cp1252")
        drawn.append(f"BT /{'F2' if bold else 'F1'} {size} Tf {left} {height} Td (".encode() + escaped + b") Tj ET")
    return [page.encode(), _stream(b"", b"\n".join(drawn))]


def _stream(entries: bytes, data: bytes) -> bytes:
    return b"<< " + entries + b" /Length %d >>\nstream\n" % len(data) + data + b"\nendstream"


def _assembled(objects: Sequence[bytes], extra: str) -> bytes:
    out, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    head = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    tail = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {extra} >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + head.encode() + tail.encode()


def word(path: Path, write: Callable[[docx.document.Document], None]) -> Path:
    """A DOCX saved by python-docx."""
    document = docx.Document()
    write(document)
    document.save(str(path))
    return path


def repacked(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """The DOCX with one of its parts changed."""
    source = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(source)) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            data = old.read(part)
            new.writestr(part, change(data) if part == name else data)
    return path


def with_lying_size(path: Path, name: bytes, declared: int) -> Path:
    """The archive whose directory gives a wrong unpacked size for a part."""
    data = bytearray(path.read_bytes())
    at = data.rfind(name) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    data[at + 24 : at + 28] = struct.pack("<I", declared)
    path.write_bytes(bytes(data))
    return path


def gzip_bytes(size: int) -> bytes:
    return b"\x1f\x8b\x08" + zlib.compress(b"\0" * size)
