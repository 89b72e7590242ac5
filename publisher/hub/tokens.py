"""What a token may do on Docker Hub, as far as its API tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.hub.shapes import AccessToken, OrganizationToken

if TYPE_CHECKING:
    from publisher.hub.access import Access


def personal_tokens(access: Access) -> tuple[AccessToken, ...]:
    """The user's personal access tokens; which of them is in use, nothing tells."""
    return tuple(access.pages("v2/access-tokens", {}, AccessToken, "access tokens"))


def organization_tokens(access: Access, organization: str) -> tuple[OrganizationToken, ...]:
    """The organization's access tokens, for its owners."""
    path = f"v2/orgs/{organization}/access-tokens"
    return tuple(access.pages(path, {}, OrganizationToken, f"the access tokens of {organization}"))


def personal_rights(access: Access) -> tuple[str, ...]:
    """The scopes that the user's personal token may have: one, or where several tokens differ one of these."""
    return tuple(sorted({scope for token in personal_tokens(access) if token.is_active for scope in token.scopes}))


def organization_rights(access: Access, organization: str) -> tuple[str, ...]:
    """What the organization's tokens reach, as acme/*: scope-image-push."""
    found = organization_tokens(access, organization)
    reached = {(one.path, ", ".join(one.scopes)) for token in found if token.is_active for one in token.resources}
    return tuple(f"{path}: {scopes}" for path, scopes in sorted(reached))
