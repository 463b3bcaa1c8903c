"""A behavior made ready to run: templates parsed, schemas and checks ready, and the messages it sends to a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from tenants.errors import Invalid, Problem

from .checks import check_check, run_check
from .declared import Declared, with_nulls
from .digest import digest as digest_of
from .digest import in_order
from .fields import LIMIT_DEFAULTS, MAX_FIELDS, REQUIRED, check_field, check_value, is_text, split
from .kept import Kept, exactly
from .liquid_env import Work
from .schemas import check_schema
from .templates import Names, Template, compile_template
from .validating import Validator
from .values import MAX_PROBLEMS, Json, check_json, dumps, pointer, with_plain_numbers

MAX_MESSAGES = 1_000_000  # characters of all messages together

# Thousands of behaviors differ in a field or two: what follows from the others is kept, by their content.
_values = Kept[tuple[Problem, ...]](2_000)
_contracts = Kept["_Contract"](200)
_templates = Kept[Template](1_000)
_checks = Kept[tuple[Problem, ...]](1_000)
_examples = Kept[tuple[Problem, ...]](1_000)

Message = dict[str, str]
Example = tuple[dict[str, Json], str]  # input, and output as the model would have written it


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may take: seconds, further tries at a broken answer, bytes of input, money (None: no bound)."""

    timeout_seconds: float = LIMIT_DEFAULTS["timeout_seconds"]
    repairs: int = int(LIMIT_DEFAULTS["repairs"])
    input_bytes: int = int(LIMIT_DEFAULTS["input_bytes"])
    cost_per_run: float | None = None


@dataclass(frozen=True, eq=False)
class Compiled:
    """A behavior ready to run, named by its digest; never changed, and shared by all whose digest it is.

    `uses` tells which of input, vars, tenant, user and now the templates name (a cache of outputs asks).
    `settings` are the model's own: temperature, max_output_tokens, top_p, seed and the penalties, where given.
    """

    digest: str
    fields: Mapping[str, Json]
    model: str
    fallbacks: tuple[str, ...]
    settings: Mapping[str, Json]
    limits: Limits
    response_format: dict[str, Json]
    uses: frozenset[str]
    _sections: tuple[Template, ...]
    _prompt: Template
    _examples: tuple[Example, ...]
    _declared: Declared
    _input: Validator
    _output: Validator

    def messages(
        self, input: Mapping[str, Json], *, tenant_name: str, user_key: str | None, now: datetime
    ) -> list[Message]:
        """Render what is sent to the model: sections, examples, prompt. A function of these alone.

        `input` has passed input_problems; `now` is aware. Raises Invalid where a template outgrows its limits.
        """
        rendering = _Rendering(
            {
                "vars": {split(field)[1]: value for field, value in self.fields.items() if field.startswith("vars.")},
                "tenant": {"name": tenant_name},
                "user": {"key": user_key},
                "now": now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            }
        )
        asked = self._nulls(dict(input))
        sections = [rendering.text(section, asked) for section in self._sections]
        system = "\n\n".join(text for text in sections if text.strip())
        found = [{"role": "system", "content": system}] if system else []
        for given, answer in self._examples:
            prompt = rendering.text(self._prompt, self._nulls(given))
            found += [{"role": "user", "content": prompt}, {"role": "assistant", "content": rendering.keep(answer)}]
        found.append({"role": "user", "content": rendering.text(self._prompt, asked)})
        return found

    def _nulls(self, value: dict[str, Json]) -> Json:
        return with_nulls(self._declared, value)

    def input_problems(self, value: Json) -> list[Problem]:
        """Name why an input is not accepted: what JSON cannot hold, its size, the input schema."""
        if problems := check_json(value):
            return problems
        size = len(dumps(value).encode())
        if size > self.limits.input_bytes:
            return [Problem("", "size", f"has {size} bytes; {self.limits.input_bytes} are allowed")]
        return self._input.problems(value)

    def output_problems(self, value: Json, input: Json) -> list[Problem]:
        """Name why an output is not valid: the output schema first, and where that is kept, the checks."""
        return self._output.problems(value) or _failed_checks(self.fields, value, input)


class _Rendering:
    """The texts of one behavior as they are made, held to what they may take and come to together."""

    def __init__(self, context: Mapping[str, Json]) -> None:
        self._context, self._work, self._left = context, Work(), MAX_MESSAGES
        self._given: list[Json] = []  # kept alive: the work knows their sizes by identity

    def text(self, template: Template, given: Json) -> str:
        self._given.append(given)
        return self.keep(template.render({**self._context, "input": given}, self._work))

    def keep(self, text: str) -> str:
        self._left -= len(text)
        if self._left < 0:
            raise Invalid(f"The messages come to more than {MAX_MESSAGES} characters.")
        return text


def _failed_checks(fields: Mapping[str, Json], output: Json, given: Json) -> list[Problem]:
    checks = {split(field)[1]: value for field, value in fields.items() if field.startswith("checks.")}
    ran = (run_check(name, cast(dict[str, Json], check), output, given) for name, check in checks.items())
    return [problem for problem in ran if problem]


def compile_behavior(fields: Mapping[str, Json], digest: str | None = None) -> Compiled:
    """Compile a behavior. Raises Invalid with every problem; pointers are "/<field>" and on into its value.

    `digest` is taken as given where the caller has it already.
    """
    work = _Compiling(in_order(fields))
    work.shapes()
    if not work.problems:  # what follows reads values, so their shapes must hold
        work.contract()
    if not work.problems:  # and what follows from here on needs both schemas
        work.templates()
        work.checks()
        work.examples()
    if work.problems:
        raise Invalid("The behavior does not compile.", errors=work.problems[:MAX_PROBLEMS])
    return work.compiled(digest or digest_of(fields))


@dataclass(frozen=True, eq=False)
class _Contract:
    """One of the two schemas, ready: what is wrong with it, or else what it declares and what it accepts."""

    problems: tuple[Problem, ...]
    declared: Declared | None = None
    validator: Validator | None = None


def _contract(schema: Json, at: str) -> _Contract:
    if problems := check_schema(schema, at):
        return _Contract(tuple(problems))
    sound = cast(dict[str, Json], schema)
    return _Contract((), Declared(sound), Validator(sound))


class _Compiling:
    """The steps of compiling one behavior; each adds to the problems what it finds."""

    def __init__(self, fields: Mapping[str, Json]) -> None:
        self.fields = fields
        self.exactly = {field: exactly(value) for field, value in fields.items()}
        self.problems: list[Problem] = []
        self.sections: list[Template] = []
        self.prompt: Template

    def shapes(self) -> None:
        self.problems += [
            Problem(pointer(name), "required", f"{name} is missing") for name in REQUIRED if name not in self.fields
        ]
        if len(self.fields) > MAX_FIELDS:
            self.problems.append(Problem("", "size", f"has more than {MAX_FIELDS} fields"))
        for field, value in self.fields.items():
            if wrong := check_field(field):
                self.problems.append(Problem(pointer(field), wrong.rule, wrong.message))
            else:
                self.problems += self.wrong_value(field, value)

    def wrong_value(self, field: str, value: Json) -> tuple[Problem, ...]:
        return _values.get((field, self.exactly[field]), lambda: tuple(check_value(field, value, pointer(field))))

    def contract(self) -> None:
        given, wanted = self.half("input"), self.half("output")
        self.problems += [*given.problems, *wanted.problems]
        if not self.problems:
            self.declared, self.output_declared = cast(Declared, given.declared), cast(Declared, wanted.declared)
            self.input, self.output = cast(Validator, given.validator), cast(Validator, wanted.validator)

    def half(self, field: str) -> _Contract:
        return _contracts.get((field, self.exactly[field]), lambda: _contract(self.fields[field], pointer(field)))

    def templates(self) -> None:
        variables = [split(field)[1] for field in self.fields if field.startswith("vars.")]
        names, known = Names(self.declared, variables), " ".join(("vars", *variables))

        def compiled(text: str, key: str) -> Template:
            return _templates.get((key, self.exactly["input"], known), lambda: compile_template(text, names=names))

        for field in filter(is_text, self.fields):
            try:
                template = compiled(str(self.fields[field]), self.exactly[field])
            except Invalid as error:
                self.problems += [Problem(pointer(field) + p.pointer, p.rule, p.message) for p in error.errors]
                continue
            if field == "prompt":
                self.prompt = template
            else:
                self.sections.append(template)

    def checks(self) -> None:
        for field, value in self.fields.items():
            if field.startswith("checks."):
                self.problems += self.wrong_check(field, value)

    def wrong_check(self, field: str, value: Json) -> tuple[Problem, ...]:
        key = (field, self.exactly[field], self.exactly["output"])
        return _checks.get(key, lambda: tuple(check_check(value, self.output_declared, pointer(field))))

    def examples(self) -> None:
        if any(problem.pointer.startswith("/checks.") for problem in self.problems):
            return  # a check that is not one cannot be run on an example
        asked = [field for field in self.fields if field in ("input", "output") or field.startswith("checks.")]
        basis = tuple(text for field in asked for text in (field, self.exactly[field]))
        for field, value in self.fields.items():
            if field.startswith("examples."):
                self.problems += self.wrong_example(field, cast(dict[str, Json], value), basis)

    def wrong_example(self, field: str, example: dict[str, Json], basis: tuple[str, ...]) -> tuple[Problem, ...]:
        return _examples.get((field, self.exactly[field], *basis), lambda: tuple(self.example(pointer(field), example)))

    def example(self, at: str, example: dict[str, Json]) -> list[Problem]:
        given, answer = example["input"], example["output"]
        problems = self.input.problems(given, at + "/input")
        if wrong := self.output.problems(answer, at + "/output"):
            return problems + wrong
        return problems + [
            Problem(at + "/output" + problem.pointer, problem.rule, problem.message)
            for problem in _failed_checks(self.fields, answer, given)
        ]

    def compiled(self, digest: str) -> Compiled:
        # The digest knows no 1.0 beside 1, so neither may what is sent.
        fields = {field: with_plain_numbers(value) for field, value in self.fields.items()}
        model = {name: value for field, value in fields.items() for name in _named(field, "model")}
        limits = {name: value for field, value in fields.items() for name in _named(field, "limits")}
        examples = [cast(dict[str, Json], value) for f, value in fields.items() if f.startswith("examples.")]
        return Compiled(
            digest=digest,
            fields=fields,
            model=str(model.pop("name")),
            fallbacks=tuple(cast("list[str]", model.pop("fallbacks", []))),
            settings=model,
            limits=Limits(**limits),  # type: ignore[arg-type]  # check_value has seen every one
            response_format=_response_format(cast(dict[str, Json], fields["output"])),
            uses=frozenset().union(*(template.uses for template in (*self.sections, self.prompt))),
            _sections=tuple(self.sections),
            _prompt=self.prompt,
            _examples=tuple((cast(dict[str, Json], e["input"]), dumps(e["output"])) for e in examples),
            _declared=self.declared,
            _input=self.input,
            _output=self.output,
        )


def _named(field: str, group: str) -> list[str]:
    return [split(field)[1]] if split(field)[0] == group else []


def _response_format(schema: dict[str, Json]) -> dict[str, Json]:
    return {"type": "json_schema", "json_schema": {"name": "output", "schema": schema, "strict": True}}
