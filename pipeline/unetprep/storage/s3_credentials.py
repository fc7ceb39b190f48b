"""S3 endpoint and credentials from sources that obstore does not read itself.

obstore reads the environment, web identities, containers and Amazon's own machines; profiles it does not
(https://github.com/developmentseed/obstore/issues/571). Of a profile we take the keys that stand in it.
"""

import os
from configparser import ConfigParser, Error
from pathlib import Path

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
OTHER_SOURCES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
NAMES = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}


def endpoint_of_environment() -> str:
    """The address of an S3 server that is not Amazon's, or ''."""
    return next((os.environ[name] for name in ENDPOINT_VARIABLES if os.environ.get(name)), "")


def refuse_other_endpoint(endpoint: str) -> None:
    """Raise OSError if the environment has an endpoint that obstore would take instead of a given one."""
    other = os.environ.get(ENDPOINT_VARIABLES[0])
    if other and other != endpoint:
        raise OSError(f"the endpoint is {endpoint}, but {ENDPOINT_VARIABLES[0]} is {other} here; unset it")


def keys_of_profile() -> dict[str, str]:
    """Keys and region of the profile that AWS_PROFILE names, or of the default one; {} where the environment has keys.

    Raises PermissionError if a profile is named that holds no keys.
    """
    if any(os.environ.get(name) for name in OTHER_SOURCES) or os.environ.get("AWS_SKIP_SIGNATURE"):
        return {}
    profile = os.environ.get("AWS_PROFILE", "")
    name = profile or "default"
    keys = _section("AWS_SHARED_CREDENTIALS_FILE", "credentials", name)
    settings = _section("AWS_CONFIG_FILE", "config", name if name == "default" else f"profile {name}")
    found = {ours: value for theirs, ours in NAMES.items() if (value := keys.get(theirs) or settings.get(theirs))}
    if profile and "access_key_id" not in found:
        raise PermissionError(
            f"AWS_PROFILE is {profile}, which holds no keys here (roles and single sign-on are not read); turn it into"
            f' keys: eval "$(aws configure export-credentials --profile {profile} --format env)"'
        )
    if found and "region" in settings and not os.environ.get("AWS_REGION"):
        found["region"] = settings["region"]
    return found


def _section(variable: str, name: str, section: str) -> dict[str, str]:
    path = Path(os.environ.get(variable) or Path.home() / ".aws" / name).expanduser()
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(path)
    except (Error, UnicodeDecodeError) as error:
        raise PermissionError(f"{path} cannot be read: {error}") from error
    return dict(parser[section]) if parser.has_section(section) else {}
