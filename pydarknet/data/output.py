# SPDX-License-Identifier: Apache-2.0
"""Output folder of a data set: places of images and labels, and linking or copying of images.

Source images are never changed or deleted. They are hard-linked, symlinked, copied, or left where they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from pydarknet.data.archives import is_cached
from pydarknet.data.blur import blurred
from pydarknet.data.dataset import SET_ASIDE, Sample, Status, flag_names
from pydarknet.data.issues import Report
from pydarknet.data.label_files import atomic
from pydarknet.engine.images import save_image
from pydarknet.errors import DataError
from pydarknet.system.atomic import abandon
from pydarknet.system.text import encode

LINKS = ("hard", "sym", "copy", "none")
LAYOUTS = ("same", "images-labels")
IGNORE_POLICIES = ("keep", "difficult", "fill", "drop", "box")


@dataclass
class Output:
    """Where and how to write.

    Attributes:
        root: the folder (or, for formats of a single file, the file) to write.
        link: ``"hard"`` (falls back to a symlink across file systems), ``"sym"``, ``"copy"``, or ``"none"``.
            Images of an archive are linked hard or copied, so that they outlast the cache.
        layout: label files beside the image (``"same"``) or in a ``labels`` tree; ``None`` = the format's
            habit.
        unlabelled: ``"exclude"`` images without annotation, or write them as ``"negatives"``.
        ignore: how to write difficult, crowd and ignore boxes in formats without such flags: a side file
            (``"keep"``), also Darknet's difficult lists (``"difficult"``), a blurred patch in a copy of the
            image (``"fill"``), nothing (``"drop"``), or a box (``"box"``).
        rename: how to rename images of the same name: ``"prefix"`` with their folder, ``"hash"``, or
            ``None`` = refuse the second.
        coords: corner convention of pixel formats, ``None`` = the format's default.
        report: receives the issues of writing.
        settings: options of one format only.
        images: images written so far.
        boxes: ordinary boxes of those images.
        ignored: boxes of those images that are written as ignored, by the policy ``ignore``.
    """

    root: Path
    link: str = "hard"
    layout: str | None = None
    unlabelled: str = "exclude"
    ignore: str = "keep"
    rename: str | None = None
    coords: str | None = None
    report: Report = field(default_factory=Report)
    settings: Mapping[str, str] = field(default_factory=dict)
    images: int = field(default=0, init=False)
    boxes: int = field(default=0, init=False)
    ignored: int = field(default=0, init=False)
    _taken: dict[str, set[int]] = field(default_factory=dict, repr=False)
    _folders: set[str] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("link", self.link, LINKS),
            ("layout", self.layout, (None, *LAYOUTS)),
            ("unlabelled", self.unlabelled, ("exclude", "negatives")),
            ("ignore", self.ignore, IGNORE_POLICIES),
            ("rename", self.rename, (None, "prefix", "hash")),
        ):
            if value not in choices:
                listed = ", ".join(str(choice) for choice in choices if choice)
                raise DataError(f"{name} must be one of {listed}, not {value!r}")
        if self.ignore == "fill" and (self.link == "none" or self.single):
            raise DataError("ignore=fill changes images, so it needs a folder; use --link hard, sym or copy")

    @property
    def folder(self) -> Path:
        """The folder everything goes into: the root itself, or the one around it if the root is a single
        file."""
        return self.root.parent if self.single else self.root

    def plan(self) -> str:
        """The choices that the written files depend on, as a text."""
        names = ("link", "layout", "unlabelled", "ignore", "rename", "coords", "settings")
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)

    @property
    def single(self) -> bool:
        """Whether the root names one file (it has an extension) that takes all splits, without images."""
        return bool(self.root.suffix) and not self.root.is_dir()

    def file(self, pattern: str, split: str) -> str:
        """The file of a split: the pattern with the split put in, or the single file for all."""
        return self.root.name if self.single else pattern.format(split=split or "train")

    def admitted(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """The samples that are written: unlabelled ones only if asked for, and reported either way.

        An image that lost all its boxes is left out and reported: every format would show it as background.
        """
        for sample in samples:
            if sample.emptied:
                reason = "all its boxes were dropped; not known to be background"
                self.report.add("emptied", reason, sample.image, action="left out")
            elif sample.status is not Status.UNLABELLED:
                yield sample
            elif self.unlabelled == "negatives":
                self.report.add(
                    "unlabelled", "image without annotation", sample.image, action="written as empty"
                )
                yield sample
            else:
                self.report.add("unlabelled", "image without annotation", sample.image, action="left out")

    def place_all(
        self, samples: Iterable[Sample], folder: Callable[[Sample], str], *, by_name: bool = True
    ) -> Iterator[tuple[Sample, Path, str]]:
        """Put every admitted sample's image into ``root/folder(sample)``.

        Args:
            samples: the samples.
            folder: the folder of a sample's image, relative to the root.
            by_name: whether two images of one name would be in each other's way.

        Yields:
            the sample, the path of its image in the output (the source path with ``link="none"``), and its
            name below the folder, without the extension.
        """
        stay = self.single or self.link == "none"
        for sample in self.admitted(samples):
            if self.link == "none" and not self.single and is_cached(sample.image):
                raise DataError(
                    f"{sample.image}: images of an archive must be placed; use --link hard or copy"
                )
            directory = folder(sample)
            name = self._claim(directory, sample) if by_name else safe_name(sample.name)
            if name is None:
                continue
            image = str(sample.image) if stay else f"{self.root}/{directory}/{name}"
            if self.ignore == "fill" and not sample.target.all():
                self._blur(sample, image)
            elif not stay and not self._put(str(sample.image), image):
                continue
            self.images += 1
            self._count(sample)
            yield sample, Path(image), _without_suffix(name)

    def _count(self, sample: Sample) -> None:
        ordinary = sample.classes >= 0 if self.ignore == "box" else sample.target
        self.boxes += int(ordinary.sum())
        if self.ignore in ("keep", "difficult", "box"):
            self.ignored += int((~ordinary).sum())

    def side_boxes(self, sample: Sample) -> tuple[Sample, Sample]:
        """The sample's ordinary boxes and those set aside, after the ``ignore`` policy."""
        if not sample.flags.any():  # nearly always
            return sample, sample.select([]) if len(sample) else sample
        if self.ignore == "box":
            any_class = sample.classes < 0
            return sample.select(~any_class), sample.select(any_class)
        if self.ignore == "fill":
            return sample.select(sample.target), sample.select([])
        if self.ignore == "drop":
            for flags in sample.flags[~sample.target].tolist():
                self._lost(flags, sample)
            return sample.select(sample.target), sample.select([])
        return sample.select(sample.target), sample.select(~sample.target)

    def plain(self, sample: Sample) -> Sample:
        """The boxes for a format that cannot set any aside; those that were are reported as lost."""
        boxes, aside = self.side_boxes(sample)
        for flags in aside.flags.tolist():
            self._lost(flags, sample)
        return boxes

    def _lost(self, flags: int, sample: Sample) -> None:
        text = ", ".join(name for name in flag_names(flags & SET_ASIDE))
        self.report.add("lost-flag", f"a box set aside ({text})", sample.source or sample.image)

    @contextlib.contextmanager
    def growing(self) -> Iterator[Callable[[str, str], None]]:
        """Files below the root that are written bit by bit and appear together when the block ends well.

        If no image was written, none of them appears.

        Yields:
            ``append(relative path, text)``; an empty text only makes the file.
        """
        with contextlib.ExitStack() as stack:
            files: dict[str, IO[bytes]] = {}

            def append(relative: str, text: str) -> None:
                if relative not in files:
                    files[relative] = stack.enter_context(atomic(self.folder / relative))
                files[relative].write(encode(text))

            yield append
            if not self.images:
                abandon(stack)

    def _claim(self, directory: str, sample: Sample) -> str | None:
        """A name that no other image of the folder has (labels go by the stem), or ``None`` if refused."""
        taken = self._taken.setdefault(directory, set())
        name = safe_name(sample.name)
        for attempt in range(3):
            key = hash(_without_suffix(name))  # a number, not the text: there may be a million
            if key not in taken:
                taken.add(key)
                if attempt:
                    self.report.add("renamed", f"written as {name}", sample.image, action="renamed")
                return name
            if self.rename is None:
                break
            name = self._other_name(name, sample, attempt)
        hint = "" if self.rename else "; --rename prefix or --rename hash makes names unique"
        self.report.add("name-collision", f"another image is already written as {name}{hint}", sample.image)
        return None

    def _other_name(self, name: str, sample: Sample, attempt: int) -> str:
        path = PurePosixPath(name)
        if self.rename == "prefix" and attempt == 0:
            return str(path.with_name(f"{sample.image.parent.name}_{path.name}"))
        digest = hashlib.sha1(encode(str(sample.image)), usedforsecurity=False).hexdigest()[:8]
        return str(path.with_name(f"{path.stem}_{digest}{path.suffix}"))

    def _put(self, source: str, target: str) -> bool:
        """Create the image at ``target``; ``False`` if there is no such image."""
        folder = os.path.dirname(target)  # noqa: PTH120 - hot: this and below run once per image
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
            self._folders.add(folder)
        cached = is_cached(source)  # the files of an unpacked archive do not last
        try:
            if self.link == "copy":
                self._copy(source, target)
            elif self.link == "sym" and not cached:
                self._symlink(source, target)
            else:
                # A hard link to a symbolic link would break with it.
                real = os.path.realpath(source) if os.path.islink(source) else source  # noqa: PTH114
                os.link(real, target)
        except FileExistsError:
            if not _same_file(source, target):
                raise DataError(
                    f"{target} exists and is another file than {source}; choose an empty folder"
                ) from None
        except FileNotFoundError:
            self.report.add("missing-image", "no such image", source)
            return False
        except OSError:  # another file system, or one without hard links: a symbolic link serves as well
            if cached:
                self._copy(source, target)
            elif self.link == "hard":
                self._symlink(source, target)
            else:
                raise
        return True

    def _blur(self, sample: Sample, target: str) -> None:
        """A copy of the image with the boxes set aside blurred."""
        from pydarknet.engine.images import load

        save_image(Path(target), blurred(load(sample.image), sample), 95)
        self.report.add("note", f"{(~sample.target).sum()} regions blurred", sample.image, action="copied")

    def _copy(self, source: str, target: str) -> None:
        if os.path.lexists(target):
            raise FileExistsError(target)
        temporary = f"{target}.tmp"  # unique: no other image is written to this target
        try:
            shutil.copyfile(source, temporary)
            os.replace(temporary, target)  # noqa: PTH105
        finally:
            Path(temporary).unlink(missing_ok=True)

    def _symlink(self, source: str, target: str) -> None:
        if not os.path.isfile(source):  # noqa: PTH113
            raise FileNotFoundError(source)
        try:
            Path(target).symlink_to(os.path.abspath(source))  # noqa: PTH100 - absolute, but not resolved
        except FileExistsError:
            if not _same_file(source, target):
                raise


def _without_suffix(name: str) -> str:
    """The name up to its last dot."""
    start, dot, end = name.rpartition(".")
    return start if dot and "/" not in end and start and start[-1] != "/" else name


def _same_file(source: str, target: str) -> bool:
    try:
        if os.path.samefile(source, target):  # noqa: PTH121
            return True
        same_size = os.path.getsize(source) == os.path.getsize(target)  # noqa: PTH202
        return same_size and Path(source).read_bytes() == Path(target).read_bytes()
    except OSError:
        return False


def safe_name(name: str) -> str:
    """A relative name with ``/`` between folders and no part that leaves the target folder."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if parts and len(parts[0]) == 2 and parts[0][1] == ":":  # a Windows drive
        parts = parts[1:]
    return "/".join(parts) or "image"
