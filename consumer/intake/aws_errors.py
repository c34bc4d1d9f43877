"""Meaning of boto3's errors to the person who runs Strandline."""

from collections.abc import Iterator
from contextlib import contextmanager

from boto3.s3.transfer import S3TransferRetriesExceededError
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, PartialCredentialsError

from strandline.journal.errors import StrandlineError

_REASONS = {
    "NoSuchBucket": "there is no such bucket",
    "NoSuchKey": "there is no such object",
    "404": "there is no such object",
    "ResourceNotFoundException": "it does not exist: check its name and AWS_REGION",
    "AccessDenied": "access is denied: {needs}",
    "AccessDeniedException": "access is denied: {needs}",
    "403": "access is denied: {needs}",
    "InvalidAccessKeyId": "the access key is not known there: check AWS_ACCESS_KEY_ID",
    "UnrecognizedClientException": "the access key is not known there: check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is not that of the access key: check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the credentials have expired: get new ones",
    "ExpiredTokenException": "the credentials have expired: get new ones",
    "InvalidObjectState": "the object is archived: restore it from Glacier first",
    "PermanentRedirect": "the bucket is in another region: set AWS_REGION",
}


class AwsError(StrandlineError):
    """AWS refuses, or cannot be reached. `code` is that of its answer."""

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code


@contextmanager
def describe_aws_errors(service: str, address: str, needs: str) -> Iterator[None]:
    """Raise boto3's errors as `AwsError`: `address` and the reason, by the error's code alone.

    boto3's own texts may quote a key or a signature. `needs` names the rights that the caller uses.
    """
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        reason = _REASONS.get(code, f"{service} refuses ({code}): {{needs}}").format(needs=needs)
        raise AwsError(f"{address}: {reason}", code) from None
    except (NoCredentialsError, PartialCredentialsError):
        raise AwsError(
            f"{address}: no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        ) from None
    except NoRegionError:
        raise AwsError(f"{address}: no AWS region; set AWS_REGION") from None
    except (BotoCoreError, S3TransferRetriesExceededError) as error:
        raise AwsError(
            f"{address}: {service} cannot be reached ({type(error).__name__}); check the network, AWS_REGION and "
            "AWS_ENDPOINT_URL"
        ) from None
