"""Problems that Django and Django REST Framework find; the refusals of the product are classes of their own."""

from django.utils.translation import gettext_noop as _
from rest_framework import exceptions as drf_errors

from cashback.http.problems import ProblemKind


def kind_of(error: type[drf_errors.APIException], meaning: str, detail: str) -> ProblemKind:
    """Return the kind of problem with the status and code of an exception of DRF."""
    return ProblemKind(error.status_code, error.default_code, meaning, detail)


INVALID = kind_of(
    drf_errors.ValidationError,
    _("A value in the request is missing, unknown or not allowed."),
    _("Correct the fields that are listed in the errors, then send the request again."),
)
PARSE_ERROR = kind_of(
    drf_errors.ParseError,
    _("The request could not be read."),
    _("Send well-formed JSON in UTF-8 with a Content-Length header."),
)
NOT_AUTHENTICATED = kind_of(
    drf_errors.NotAuthenticated,
    _("The request needs an access token and has none."),
    _("Sign in first. Send an access token as 'Authorization: Bearer …'."),
)
TOKEN_NOT_VALID = ProblemKind(
    401,
    "token_not_valid",
    _("The access token is malformed, expired or revoked."),
    _("The token is not valid or has expired. Refresh it or sign in again."),
)
PERMISSION_DENIED = kind_of(
    drf_errors.PermissionDenied,
    _("The signed-in user may not do this."),
    _("You don't have permission to do this. Sign in as someone who has, or ask an operator."),
)
NOT_FOUND = kind_of(
    drf_errors.NotFound,
    _("Nothing exists at this address, or the caller may not see it."),
    _("Not found. Check the address."),
)
METHOD_NOT_ALLOWED = kind_of(
    drf_errors.MethodNotAllowed,
    _("This address does not support the method of the request."),
    _("Use a method that the API documentation lists for this address."),
)
NOT_ACCEPTABLE = kind_of(
    drf_errors.NotAcceptable,
    _("The server has no format that the Accept header allows."),
    _("Use Accept: application/json."),
)
TOO_LARGE = ProblemKind(
    413,
    "too_large",
    _("The body of the request is larger than the server accepts."),
    _("The body is larger than 64 kB. Send less at a time."),
)
UNSUPPORTED_MEDIA_TYPE = kind_of(
    drf_errors.UnsupportedMediaType,
    _("The body of the request is not JSON."),
    _("Send the body as application/json."),
)
INTERNAL_ERROR = ProblemKind(
    500,
    "internal_error",
    _("An error occurred in the server and has been logged."),
    _("Something went wrong on our side. The error has been logged. Try again later."),
)
PROTOCOL_PROBLEMS = (
    INVALID,
    PARSE_ERROR,
    NOT_AUTHENTICATED,
    TOKEN_NOT_VALID,
    PERMISSION_DENIED,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    INTERNAL_ERROR,
)
