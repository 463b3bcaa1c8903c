"""The engine: what a behavior is, how layers merge, what may be changed, and what is sent to a model.

Pure Python: no Django, clock, network or randomness. Frozen values in, frozen values out.
"""

from .checks import check_checks, run_check
from .choose import Choice, PinRow, Policy, Situation, choose
from .compile import Compiled, Limits, compile_behavior
from .declared import Declared, declared, with_nulls
from .diff import Change, diff
from .digest import canonical, digest
from .fields import GROUPS, PLAIN, REQUIRED, check_field, check_value, flatten, group_of, is_text
from .layers import compile_layers
from .merge import Base, Effective, Origin, Revision, Suspended, applied, inherited, resolve
from .operations import (
    BasedOn,
    Operation,
    changed,
    document_of,
    from_rows,
    inherited_digest,
    parse_override,
    to_rows,
)
from .rules import Rule, documents_of, effective_rule, judge, looser_than_base, parse_rules
from .schemas import FORMATS, SUPPORTED, Validator, check_schema
from .templates import Names, Template, compile_template
from .values import ABSENT, Absent, Json, check_json, dumps, loads, pointer, same

__all__ = [
    "ABSENT",
    "FORMATS",
    "GROUPS",
    "PLAIN",
    "REQUIRED",
    "SUPPORTED",
    "Absent",
    "Base",
    "BasedOn",
    "Change",
    "Choice",
    "Compiled",
    "Declared",
    "Effective",
    "Json",
    "Limits",
    "Names",
    "Operation",
    "Origin",
    "PinRow",
    "Policy",
    "Revision",
    "Rule",
    "Situation",
    "Suspended",
    "Template",
    "Validator",
    "applied",
    "canonical",
    "changed",
    "check_checks",
    "check_field",
    "check_json",
    "check_schema",
    "check_value",
    "choose",
    "compile_behavior",
    "compile_layers",
    "compile_template",
    "declared",
    "diff",
    "digest",
    "document_of",
    "documents_of",
    "dumps",
    "effective_rule",
    "flatten",
    "from_rows",
    "group_of",
    "inherited",
    "inherited_digest",
    "is_text",
    "judge",
    "loads",
    "looser_than_base",
    "parse_override",
    "parse_rules",
    "pointer",
    "resolve",
    "run_check",
    "same",
    "to_rows",
    "with_nulls",
]
