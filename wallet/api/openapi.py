"""The address of the OpenAPI schema."""

from functools import cache

from django.conf import settings
from django.http import HttpResponse
from django.utils.translation import get_language, override
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

from kernel.strict_views import StrictView


@cache
def rendered_schema(form: str, language: str) -> bytes:
    """Return the schema as "json" or "yaml". It takes a second of CPU time, so each process renders it once."""
    renderer = next(each for each in SpectacularAPIView.renderer_classes if each.format == form)
    with override(language):
        schema = SpectacularAPIView.generator_class().get_schema(request=None, public=True)
        return bytes(renderer().render(schema, renderer_context={}))


class SchemaView(StrictView, SpectacularAPIView):  # type: ignore[misc]
    """The OpenAPI schema as JSON or YAML."""

    def known_parameters(self) -> set[str]:
        """Return the parameter that chooses the language."""
        return {"lang"}

    def _get_schema_response(self, request: Request) -> HttpResponse:
        renderer = request.accepted_renderer
        requested = get_language()
        language = requested if requested in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
        name = f'inline; filename="{self._get_filename(request, None)}"'
        content = rendered_schema(str(renderer.format), str(language))
        return HttpResponse(content, content_type=renderer.media_type, headers={"Content-Disposition": name})
