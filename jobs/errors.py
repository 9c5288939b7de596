"""Every way in which a request can end without a picture, each with its stable public code.

A new code also needs its HTTP status in `STATUS` of `service/problems.py`, and a row in
`docs/api.md`. `tests/jobs/test_errors.py` holds this tree against the classes.

AnysrError
├── InputError                                      the request itself is at fault
│   ├── InvalidRequest         invalid_request      a parameter is missing, wrong or contradictory
│   ├── EmptyBody              empty_body
│   ├── UnsupportedImage       unsupported_image    not an image in a supported format
│   ├── CorruptImage           corrupt_image        truncated or damaged, detected at decoding
│   ├── DecodingTooLong        decoding_too_long    its decoding was ended
│   ├── AnimatedImage          animated_image
│   ├── BodyTooLarge           body_too_large
│   ├── ImageTooLarge          image_too_large      more input pixels than allowed, or memory
│   ├── OutputTooLarge         output_too_large     more pixels, bytes or memory, or a longer side
│   ├── UnknownModel           unknown_model
│   ├── UnknownWidth           unknown_width
│   └── IdempotencyKeyReused   idempotency_key_reused   the key of another request
├── ModelNotTrained            model_not_trained    a known network without weights here
├── BudgetInfeasible           budget_infeasible    details: smallest_feasible_ms
├── QualityInfeasible          quality_infeasible   details: largest_feasible_db
├── Overloaded                 overloaded           details: retry_after_s
├── AddressRefused             address_refused      a URL that the service connects to for nobody
├── SourceNotAllowed           source_not_allowed   a host that ANYSR_SOURCES does not name
├── BucketNotAllowed           bucket_not_allowed   a bucket or key that ANYSR_BUCKETS does not open
├── ResultNotAllowed           result_not_allowed   a host that ANYSR_RESULT_HOSTS does not name
├── RemoteError                                     a URL that a caller named did not answer well
│   ├── RemoteUnreachable      remote_unreachable   no address, no connection, no HTTP
│   ├── RemoteTooSlow          remote_too_slow
│   ├── TooManyRedirects       too_many_redirects   or redirects in a circle
│   ├── RemoteRefused          remote_refused       details: remote_status
│   ├── SourceChanged          source_changed       while it was read
│   ├── BucketDenied           bucket_denied        the store denies what ANYSR_BUCKETS allows
│   ├── ObjectNotFound         object_not_found     no such key, or no such bucket in the store
│   └── BucketNotFound         bucket_not_found     where a picture should be put
├── Unauthorized               unauthorized         a key is missing or wrong
├── AdminDisabled              admin_disabled       no admin key is set
├── SignatureInvalid           signature_invalid    of a link, or by a key that is not known
├── LinkExpired                link_expired
├── LinksDisabled              links_disabled       no key of links is set
├── WebhooksDisabled           webhooks_disabled    no secret is set
├── WebhookNotFound            webhook_not_found    it is not among those that were given up
├── UploadsDisabled            uploads_disabled     the pictures are in no bucket that signs
├── UploadNotFound             upload_not_found     or it has expired, or is another client's
├── UploadUnfilled             upload_unfilled      nothing was written yet
├── UploadUsed                 upload_used          by another request
├── ModelNotAllowed            model_not_allowed    the client may not name this model
├── RateLimited                rate_limited         details: retry_after_s
├── QuotaExceeded              quota_exceeded       details: retry_after_s, until the day ends
├── TooManyJobs                too_many_jobs        details: retry_after_s
├── ShareExceeded              share_exceeded       details: retry_after_s
├── NotReady                   not_ready            no worker is warm
├── NotDurable                 not_durable          the queue's Redis cannot promise it
├── NotDurableYet              not_durable_yet      the disk did not confirm in time
├── DeadlineExceeded           deadline_exceeded    only for on_miss=reject
├── JobCancelled               job_cancelled
├── JobNotFound                job_not_found
├── JobNotFinished             job_not_finished
├── BatchNotFound              batch_not_found
├── ResultExpired              result_expired       the picture is kept no longer
├── WorkerLost                 worker_lost          given up after several workers died with it
├── DataLoss                   data_loss            details: lost: source, result, record, batch
└── InternalError              internal_error       a bug of ours
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from jobs.formats import labels

MISSING_PIXELS = "Pixels are missing: the image is truncated or damaged."
"""Detail of CorruptImage where a file ends, or is made to end, before its last pixel."""


class AnysrError(Exception):
    """The root. `code` is stable; `message` is for people and tells what to do."""

    code: ClassVar[str] = "internal_error"
    message: ClassVar[str] = "The service failed; please try again."

    def __init__(self, detail: str | None = None, /, **details: Any) -> None:
        self.detail = detail or self.message
        self.details = details
        super().__init__(self.detail)


class InputError(AnysrError):
    """The request itself is at fault; sending it again unchanged cannot succeed."""


class InvalidRequest(InputError):
    code = "invalid_request"
    message = "A parameter is missing, wrong or contradicts another."


class EmptyBody(InputError):
    code = "empty_body"
    message = "The request has no image; send one as the form field 'image' or as the body."


class UnsupportedImage(InputError):
    code = "unsupported_image"
    message = f"This is not an image that can be read; send {labels()}."


class CorruptImage(InputError):
    code = "corrupt_image"
    message = "The image is truncated or damaged and could not be decoded."


class DecodingTooLong(InputError):
    code = "decoding_too_long"
    message = (
        "The image takes longer to decode than this service allows; save it anew, without "
        "progressive scans, and send that."
    )


class AnimatedImage(InputError):
    code = "animated_image"
    message = "This is an animation; name one of its frames: frame=0 for the first."


class BodyTooLarge(InputError):
    code = "body_too_large"
    message = "The request body is larger than this service accepts."


class ImageTooLarge(InputError):
    code = "image_too_large"
    message = "The image has more pixels than this service accepts."


class OutputTooLarge(InputError):
    code = "output_too_large"
    message = "The output would have more pixels than this service makes; ask for a smaller scale."


class UnknownModel(InputError):
    code = "unknown_model"
    message = "There is no such model; GET /models lists those that there are."


class UnknownWidth(InputError):
    code = "unknown_width"
    message = "The model has no such width; GET /models lists those that it has."


class IdempotencyKeyReused(InputError):
    code = "idempotency_key_reused"
    message = (
        "This Idempotency-Key came with another picture or other parameters; a new request needs a "
        "new key."
    )


class ModelNotTrained(AnysrError):
    code = "model_not_trained"
    message = "This network is known, but has no weights here; GET /models lists those that do."


class BudgetInfeasible(AnysrError):
    code = "budget_infeasible"
    message = "The latency budget is smaller than this picture can be made in at any width."


class QualityInfeasible(AnysrError):
    code = "quality_infeasible"
    message = "No network is expected to reach the least quality asked for, for this picture."


class Overloaded(AnysrError):
    code = "overloaded"
    message = "The service is busy; try again after the time in Retry-After."


class AddressRefused(AnysrError):
    code = "address_refused"
    message = (
        "The URL's host has an address outside the public internet, which this service does not "
        "connect to; ANYSR_OUTBOUND_ALLOW_PRIVATE lists networks that it may."
    )


class SourceNotAllowed(AnysrError):
    code = "source_not_allowed"
    message = "ANYSR_SOURCES does not name this host, so no picture is fetched from it."


class BucketNotAllowed(AnysrError):
    code = "bucket_not_allowed"
    message = "ANYSR_BUCKETS does not open this bucket, or not this key in it."


class ResultNotAllowed(AnysrError):
    code = "result_not_allowed"
    message = "ANYSR_RESULT_HOSTS does not name this host, so no picture is put there."


class RemoteError(AnysrError):
    """A URL that a caller named did not answer as needed."""


class RemoteUnreachable(RemoteError):
    code = "remote_unreachable"
    message = "The URL's host cannot be reached, breaks off, or is not trusted in TLS."


class RemoteTooSlow(RemoteError):
    code = "remote_too_slow"
    message = "The URL's host took too long to answer."


class TooManyRedirects(RemoteError):
    code = "too_many_redirects"
    message = "The URL redirects too often, or in a circle."


class RemoteRefused(RemoteError):
    code = "remote_refused"
    message = "The URL's host answered with an error."


class SourceChanged(RemoteError):
    code = "source_changed"
    message = "The picture changed or was cut off while it was read; please try again."


class BucketDenied(RemoteError):
    code = "bucket_denied"
    message = "The bucket's store denies access with the credentials in ANYSR_BUCKETS."


class ObjectNotFound(RemoteError):
    code = "object_not_found"
    message = "There is no object of this key in the bucket."


class BucketNotFound(RemoteError):
    code = "bucket_not_found"
    message = "The store has no bucket of the name in ANYSR_BUCKETS."


class Unauthorized(AnysrError):
    code = "unauthorized"
    message = "This needs a key, as the header Authorization: Bearer <key>."


class AdminDisabled(AnysrError):
    code = "admin_disabled"
    message = "This gateway has no admin key; set ANYSR_ADMIN_KEY to allow it."


class SignatureInvalid(AnysrError):
    code = "signature_invalid"
    message = "This link was changed, or was not signed by a key of this service."


class LinkExpired(AnysrError):
    code = "link_expired"
    message = "This link has expired; whoever gave it can sign a new one."


class LinksDisabled(AnysrError):
    code = "links_disabled"
    message = "This gateway answers no links; set ANYSR_LINK_KEYS to allow them."


class WebhooksDisabled(AnysrError):
    code = "webhooks_disabled"
    message = "This gateway signs no webhooks; set ANYSR_WEBHOOK_SECRETS to allow webhook_url."


class WebhookNotFound(AnysrError):
    code = "webhook_not_found"
    message = "Nothing of this job was given up; GET /admin/webhooks/dead lists what was."


class UploadsDisabled(AnysrError):
    code = "uploads_disabled"
    message = (
        "This service takes no uploads into a bucket; set ANYSR_BLOB_URL=s3://bucket/prefix, "
        "ANYSR_BLOB_ACCESS_KEY_ID and ANYSR_BLOB_SECRET_ACCESS_KEY to allow them."
    )


class UploadNotFound(AnysrError):
    code = "upload_not_found"
    message = "There is no such upload; uploads are kept for a limited time."


class UploadUnfilled(AnysrError):
    code = "upload_unfilled"
    message = "Nothing was written to this upload yet; PUT the picture to its URL first."


class UploadUsed(AnysrError):
    code = "upload_used"
    message = "Another request has taken this upload; each can be used once."


class ModelNotAllowed(AnysrError):
    code = "model_not_allowed"
    message = "The limits of this key do not allow this model."


class RateLimited(AnysrError):
    code = "rate_limited"
    message = "This client sends more requests than it may; try again after Retry-After."


class QuotaExceeded(AnysrError):
    code = "quota_exceeded"
    message = "This client has no pixels left of this day; try again after Retry-After."


class TooManyJobs(AnysrError):
    code = "too_many_jobs"
    message = "This client has as many jobs waiting as it may; try again after Retry-After."


class ShareExceeded(AnysrError):
    code = "share_exceeded"
    message = (
        "This client's waiting pictures take its whole share of the service while others use "
        "theirs; try again after Retry-After."
    )


class NotReady(AnysrError):
    code = "not_ready"
    message = "No worker is ready yet; try again in a few seconds."


class NotDurable(AnysrError):
    code = "not_durable"
    message = "This service cannot keep jobs durably; send the request without durable=true."


class NotDurableYet(AnysrError):
    code = "not_durable_yet"
    message = (
        "The job could not be confirmed on disk in time. With an Idempotency-Key it goes on: send "
        "the same request again to have it confirmed. Without one it was withdrawn."
    )


class DeadlineExceeded(AnysrError):
    code = "deadline_exceeded"
    message = "The picture could not be made within its latency budget."


class JobCancelled(AnysrError):
    code = "job_cancelled"
    message = "The job was cancelled."


class JobNotFound(AnysrError):
    code = "job_not_found"
    message = "There is no such job; results are kept for a limited time."


class JobNotFinished(AnysrError):
    code = "job_not_finished"
    message = "The job has no result yet."


class BatchNotFound(AnysrError):
    code = "batch_not_found"
    message = "There is no such batch; batches are kept for a limited time after their end."


class ResultExpired(AnysrError):
    code = "result_expired"
    message = "The job succeeded, but its picture is no longer kept; send the original again."


class WorkerLost(AnysrError):
    code = "worker_lost"
    message = "Every worker that took this job died with it; the job was given up."


class DataLoss(AnysrError):
    code = "data_loss"
    message = "What was kept of this job was lost or damaged; send the request again."

    @classmethod
    def of(cls, part: Literal["source", "result", "record", "batch"]) -> DataLoss:
        """Return the error for what is lost."""
        what = f"The {KEPT_PARTS[part]} was lost or damaged where it was kept"
        return cls(f"{what}; send the request again.", lost=part)


KEPT_PARTS = {
    "source": "uploaded picture",
    "result": "finished picture",
    "record": "record of this job",
    "batch": "record of this batch",
}
"""What is kept, as callers read it."""


class InternalError(AnysrError):
    code = "internal_error"
    message = "The service failed; please try again."


def _with_codes(kind: type[AnysrError]) -> Iterator[type[AnysrError]]:
    """Yield the classes below one that have a code of their own, as the tree lists them."""
    for below in kind.__subclasses__():
        if "code" in vars(below):
            yield below
        yield from _with_codes(below)


ERRORS: tuple[type[AnysrError], ...] = tuple(_with_codes(AnysrError))
"""Every error with a code of its own."""

_BY_CODE = {error.code: error for error in ERRORS}


def is_code(code: str) -> bool:
    """Return whether an error has this code."""
    return code in _BY_CODE


def from_code(code: str, detail: str | None = None, /, **details: Any) -> AnysrError:
    """Return the error with the code of a failed job; InternalError if the code is unknown.

    `details` may have any keys, including `code` and `detail`.
    """
    return _BY_CODE.get(code, InternalError)(detail, **details)
