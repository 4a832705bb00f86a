"""The findings of a check, by name."""

from cdn_cli.checks import check


def findings_of(credentials, *names, **options):
    """Run the check; return its findings by name."""
    return {finding.name: finding for finding in check(credentials, *names, **options)}


def states(findings):
    """Return the state of each finding by name, but for the last one, which sums up the others."""
    return {name: finding.state for name, finding in findings.items() if name != "result"}
