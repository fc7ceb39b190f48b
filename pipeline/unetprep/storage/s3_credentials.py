"""Endpoint of an S3 server from the environment, and credentials of AWS profiles.

obstore itself reads keys from the environment, web identities, container and instance credentials. For profiles it has
a provider that uses boto3, which covers keys, roles, single sign-on and credential processes.
"""

import os
from pathlib import Path
from typing import Any

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
OTHER_SOURCES = (  # obstore reads these, and prefers them to a profile
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
PROFILE_FILES = {"AWS_SHARED_CREDENTIALS_FILE": "credentials", "AWS_CONFIG_FILE": "config"}


def endpoint_of_environment() -> str:
    """The address of an S3 server other than Amazon's, or ''."""
    return next((os.environ[name] for name in ENDPOINT_VARIABLES if os.environ.get(name)), "")


def refuse_other_endpoint(endpoint: str) -> None:
    """Raise OSError if the environment has an endpoint that obstore would use instead of the given one."""
    other = os.environ.get(ENDPOINT_VARIABLES[0])
    if other and other != endpoint:
        raise OSError(f"the endpoint is {endpoint}, but {ENDPOINT_VARIABLES[0]} is {other} here; unset it")


def profile_credentials() -> Any:
    """obstore's credential provider for the profile of AWS_PROFILE or the default one; None if obstore needs none.

    Raises PermissionError if AWS_PROFILE is set and gives no credentials, or boto3 is not installed.
    """
    profile = os.environ.get("AWS_PROFILE", "")
    if any(os.environ.get(name) for name in OTHER_SOURCES) or not (profile or _has_profiles()):
        return None
    try:
        from botocore.exceptions import BotoCoreError
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        if not profile:
            return None
        hint = f"pip install 'unetprep[s3]'; or set keys: {_export(profile)}"
        raise PermissionError(f"AWS_PROFILE is {profile}, and profiles need boto3\n  to do:   {hint}") from None
    try:
        return Boto3CredentialProvider()
    except (BotoCoreError, ValueError) as error:  # a profile that does not exist, or that holds no credentials
        if not profile:
            return None
        raise PermissionError(
            f"AWS_PROFILE is {profile}, which gives no credentials here: {error}\n"
            f"  to do:   see that the profile exists and is signed in, or set keys: {_export(profile)}"
        ) from None


def _has_profiles() -> bool:
    paths = (os.environ.get(name) or Path.home() / ".aws" / file for name, file in PROFILE_FILES.items())
    return any(Path(path).expanduser().is_file() for path in paths)


def _export(profile: str) -> str:
    return f'eval "$(aws configure export-credentials --profile {profile} --format env)"'
