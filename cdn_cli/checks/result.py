"""Sums up a check: what works, what does not, and what to do first."""

from collections.abc import Sequence

from cdn_cli.checks.finding import Finding
from cdn_manager import CDNCredentials

__all__ = ["result_of"]

# Without these, nothing works.
_GROUND = ("configuration", "constants", "host resolves", "connects", "TLS", "answers", "clock", "store", "bucket",
           "key pairs")  # fmt: skip
# What shows that downloads and uploads work, and what else they need.
_DOWNLOADS = ("downloader key", "downloader reads", "downloader reads KEY")
_UPLOADS = ("uploader key", "uploader writes")
_DISK = ("disk",)


def result_of(findings: Sequence[Finding], credentials: CDNCredentials, is_in_bucket: bool) -> Finding:
    """Return the last finding, about all the others. It fails if any of them does.

    Args:
        findings: The others.
        credentials: The keys that were tested.
        is_in_bucket: The keys were tried in a bucket; else it is only known whether the store accepts them.
    """
    failed = [finding for finding in findings if finding.state == "failed"]
    outcomes: dict[str, list[str]] = {}
    if credentials.downloader_access_key is not None or credentials.anonymous:
        outcomes.setdefault(_outcome(findings, _DOWNLOADS, _DISK), []).append("downloads")
    if credentials.uploader_access_key is not None:
        outcomes.setdefault(_outcome(findings, _UPLOADS), []).append("uploads")
    if not is_in_bucket and "work" in outcomes:
        outcomes = {"may work" if verb == "work" else verb: names for verb, names in outcomes.items()}
    text = ", ".join(f"{' and '.join(names)} {verb}" for verb, names in outcomes.items())
    if failed:
        return Finding("result", "failed", f"{text}; to mend first: {failed[0].name}", failed[0].advice)
    return Finding("result", "ok", text, "" if is_in_bucket else "name a BUCKET to see what the keys may do there")


def _outcome(findings: Sequence[Finding], shows: Sequence[str], needs: Sequence[str] = ()) -> str:
    states = {finding.name: finding.state for finding in findings}
    if any(states.get(name) == "failed" for name in (*_GROUND, *needs, *shows)):
        return "do not work"
    return "work" if any(states.get(name) == "ok" for name in shows) else "were not tested"
