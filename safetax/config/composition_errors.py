"""What Hydra, OmegaConf and the YAML parser say when a composition fails, in words for the user."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from safetax.config.messages import nearest
from safetax.errors import ConfigError

DATASET = "dataset"
"""The group of data sets."""
PART = re.compile(r"(?:\w+\.)*(?:source|parts\.\w+)")
"""Keys of the data sets that another one is made of."""


@contextmanager
def composition_errors(folders: Sequence[Path] = ()) -> Iterator[None]:
    """Turn complaints of Hydra, OmegaConf and the YAML parser into ConfigError.

    Args:
        folders: of the YAML files among which the one is looked for that an error does not name.
    """
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import MarkedYAMLError
    from yaml.reader import ReaderError

    try:
        yield
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{mark.name}, line {mark.line + 1}" if mark else "a file"
        raise ConfigError(f"{place}: this is no valid YAML ({error.problem or error.context}).") from None
    except ReaderError as error:
        raise ConfigError(
            f"{error.name}: this is no valid YAML (character {error.position}: {error.reason})."
        ) from None
    except MissingConfigException as error:
        first = str(error).splitlines()[0]
        choice = str(error.missing_cfg_file or "").rpartition("/")[2]
        options = [name for name in error.options or [] if not name.startswith("_")]
        hint = f"{nearest(choice, options)} Allowed are {', '.join(options)}." if options else ""
        raise ConfigError(f"{first}.{hint}") from None
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        part = re.search(rf"Could not override '{DATASET}@([\w.]+)'", str(error))
        if part and PART.fullmatch(part[1]):
            raise ConfigError(
                f"{part[1]}: the data set that is chosen is not made of another one of that name; choose one that is, "
                "such as dataset=dgr (dataset.source) or dataset=replay (dataset.parts.safety)."
            ) from None
        if told := _unreadable(error, folders):
            raise ConfigError(told) from None
        text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
        reason = str(error.__cause__ or "").splitlines()[:1]
        raise ConfigError(": ".join(part for part in [text, *reason] if part)) from None


def _unreadable(error: Exception, folders: Sequence[Path]) -> str | None:
    """Return which YAML file it is that cannot be read, and why, where an error of Hydra's does not name it.

    The files are read one by one, until one of them makes the same error.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import GrammarParseError

    cause = error.__cause__ or error
    if not isinstance(cause, UnicodeDecodeError | GrammarParseError):
        return None
    for path in (path for folder in folders for path in sorted(folder.rglob("*.yaml"))):
        try:
            OmegaConf.load(path)
        except UnicodeDecodeError as found:
            if str(found) == str(cause):
                return f"{path} is no UTF-8 text ({found.reason}): save it as UTF-8."
        except GrammarParseError as found:
            if str(found) == str(cause):
                key, why = f"{found.full_key}: " if found.full_key else "", str(found).splitlines()[0]
                return f"{path}: {key}this reference cannot be read ({why}); write it as ${{key}}."
        except Exception:
            continue  # not the file that is looked for
    return None
