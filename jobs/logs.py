"""Logs: one line for each thing that happened, as JSON for machines or in colour for a terminal."""

import logging
import re
import sys

import structlog

from jobs.settings import Settings

_EXCERPT = 1_000  # characters
# What Amazon's notifications have of it: tokens, and addresses that do something for whoever knows them.
_SECRET = re.compile(r"""(https?://[^\s"'\\?]*\?|"[A-Za-z]*[Tt]oken\\*"\s*:\s*\\*")[^\s"'\\]*""")


def excerpt(body: str | bytes) -> str:
    """The beginning of what somebody sent, without the secrets that it may have."""
    text = body if isinstance(body, str) else body.decode(errors="replace")
    # Cut first: of a long text, the search could take minutes. A secret is known by what stands before it, so
    # one that the cut divides is still found.
    return _SECRET.sub(r"\1…", text[:_EXCERPT])[:_EXCERPT]


def configure_logs(settings: Settings) -> None:
    """Send everything that is logged to standard error, ours and the libraries' alike."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
        if as_json
        else [
            # Tracebacks that show locals would show secrets.
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # Their every call is of no interest; what fails they say louder.
    for name in ("botocore", "aiobotocore", "httpx", "httpcore", "arq", "pymongo", "urllib3", "uvicorn"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
