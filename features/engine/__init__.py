"""The engine: what a behavior is, how layers merge, what may be changed, and what is sent to a model.

Pure Python: no Django, clock, network or randomness. Frozen values in, frozen values out.
"""

from .checks import check_check, run_check
from .choose import Choice, Holds, PinRow, Policy, Situation, choose, nobody_holds, replacement
from .compile import Compiled, Limits, compile_behavior
from .declared import Declared, with_nulls
from .diff import Change, diff
from .digest import canonical, digest
from .fields import GROUPS, PLAIN, REQUIRED, check_field, check_value, flatten, group_of, is_text
from .guarding import Decision, Measure, decide, state_of
from .layers import compile_layers
from .merge import Base, Effective, Origin, Revision, Suspended, applied, inherited, resolve
from .merge_texts import merge_texts
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
from .rebase import Bases, Held, Outcome, Rebased, held_by, rebase
from .rollout import BUCKETS, StageRow, Unit, bucket, inside
from .rules import Rule, documents_of, effective_rule, judge, looser_than_base, parse_rules
from .schemas import FORMATS, SUPPORTED, check_schema
from .steps import GUARDS, Guard, GuardName, Step, included, parse_guards, parse_steps, tenants_named
from .templates import Names, Template, compile_template
from .validating import Validator
from .values import ABSENT, Absent, Json, check_json, dumps, loads, pointer, same

__all__ = [
    "ABSENT",
    "BUCKETS",
    "FORMATS",
    "GROUPS",
    "GUARDS",
    "PLAIN",
    "REQUIRED",
    "SUPPORTED",
    "Absent",
    "Base",
    "BasedOn",
    "Bases",
    "Change",
    "Choice",
    "Compiled",
    "Decision",
    "Declared",
    "Effective",
    "Guard",
    "GuardName",
    "Held",
    "Holds",
    "Json",
    "Limits",
    "Measure",
    "Names",
    "Operation",
    "Origin",
    "Outcome",
    "PinRow",
    "Policy",
    "Rebased",
    "Revision",
    "Rule",
    "Situation",
    "StageRow",
    "Step",
    "Suspended",
    "Template",
    "Unit",
    "Validator",
    "applied",
    "bucket",
    "canonical",
    "changed",
    "check_check",
    "check_field",
    "check_json",
    "check_schema",
    "check_value",
    "choose",
    "compile_behavior",
    "compile_layers",
    "compile_template",
    "decide",
    "diff",
    "digest",
    "document_of",
    "documents_of",
    "dumps",
    "effective_rule",
    "flatten",
    "from_rows",
    "group_of",
    "held_by",
    "included",
    "inherited",
    "inherited_digest",
    "inside",
    "is_text",
    "judge",
    "loads",
    "looser_than_base",
    "merge_texts",
    "nobody_holds",
    "parse_guards",
    "parse_override",
    "parse_rules",
    "parse_steps",
    "pointer",
    "rebase",
    "replacement",
    "resolve",
    "run_check",
    "same",
    "state_of",
    "tenants_named",
    "to_rows",
    "with_nulls",
]
