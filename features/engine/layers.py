"""Layers to a behavior that runs: merged, compiled, and with what breaks the result suspended."""

from collections.abc import Callable, Mapping

from tenants.errors import Invalid

from .compile import Compiled, compile_behavior
from .merge import Base, Effective, Revision, resolve
from .rules import Layer
from .values import Json

MAX_TRIES = 100  # compilations spent on finding out which operations break a behavior, before all are suspended

Compiler = Callable[[Mapping[str, Json], str], Compiled]  # fields and their digest, as compile_behavior
Broken = frozenset[tuple[Layer, str]]


def compile_layers(
    base: Base,
    tenant: Revision | None,
    user: Revision | None,
    *,
    users_may_override: bool = True,
    compiler: Compiler = compile_behavior,
) -> tuple[Effective, Compiled]:
    """Resolve and compile; operations because of which the result does not compile are suspended as `broken`.

    The tenant's layer is looked at first, on base alone, then the user's on what the tenant's comes to, so no user can
    get a tenant's operation suspended. Of each as few as can be found in MAX_TRIES are suspended (a smallest set
    is not promised: none of it can be put back, that is all), else the whole layer. Raises Invalid only where base
    alone does not compile. `compiler` may keep what it has compiled before.
    """

    def attempt(
        base: Base, tenant: Revision | None, user: Revision | None, may: bool, broken: Broken
    ) -> tuple[Effective, Compiled]:
        effective = resolve(base, tenant, user, users_may_override=may, broken=broken)
        return effective, compiler(effective.fields, effective.digest)

    try:
        return attempt(base, tenant, user, users_may_override, frozenset())
    except Invalid:
        pass  # a rare state, and the caller keeps what it comes to: now it may cost something
    broken: Broken = frozenset()
    if tenant:
        broken = _breaking("tenant", tenant, lambda out: attempt(base, tenant, None, users_may_override, out))
    if user and users_may_override:
        already = broken
        broken |= _breaking("user", user, lambda out: attempt(base, tenant, user, True, already | out))
    return attempt(base, tenant, user, users_may_override, broken)


def _breaking(layer: Layer, revision: Revision, attempt: Callable[[Broken], object]) -> Broken:
    """Return the operations of a layer to suspend so that what it is part of compiles."""

    def problems(out: Broken) -> int:
        try:
            attempt(out)
        except Invalid as error:
            return max(len(error.errors), 1)
        return 0

    every: Broken = frozenset((layer, operation.field) for operation in revision.operations)
    return _fewest(every, problems)


def _fewest(every: Broken, problems: Callable[[Broken], int]) -> Broken:
    """Take out, one after the other, what leaves the fewest problems; then put back what turns out not to matter."""
    out: Broken = frozenset()
    left, tries = problems(out), 1
    while left:
        rest = sorted(every - out)
        tries += len(rest)
        if not rest or tries > MAX_TRIES:
            return every
        left, one = min((problems(out | {one}), one) for one in rest)
        out |= {one}
    for one in sorted(out) if len(out) > 1 else ():
        if not problems(out - {one}):
            out -= {one}
    return out
