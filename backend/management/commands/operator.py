"""`manage.py operator EMAIL --roles read,publish [--key NAME]`: make somebody an operator, or say anew what one may."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.actions import login_for
from tenants.errors import AppError
from tenants.isolation import OPERATOR, operator_tx
from tenants.models import Operator
from tenants.operators import create_operator_key, set_roles
from tenants.roles import OperatorRole
from tenants.system import system_actor


class Command(BaseCommand):
    """The first operator is made here: there is nobody yet who could be asked through a door."""

    help = "Make somebody an operator with these roles, or give one other roles. They sign in after a password reset."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--key", default="", help="also make a key of this name, and print it this once")
        parser.add_argument("--roles", required=True, help=f"some of {','.join(OperatorRole)}; empty for none any more")

    def handle(self, *args: Any, email: str, roles: str, key: str, **options: Any) -> None:
        system = system_actor("operator")
        asked = [role.strip() for role in roles.split(",") if role.strip()]
        login = login_for(email)
        try:
            with operator_tx():
                row, _ = Operator.objects.using(OPERATOR).get_or_create(user_id=login.id, defaults={"roles": []})
                set_roles(row, asked, by=system)
                text = create_operator_key(row, name=key, by=system)[1] if key else ""
        except AppError as error:
            raise CommandError(f"{error.detail} {'; '.join(problem.message for problem in error.errors)}") from error
        self.stdout.write(f"{login.email} is an operator with the roles: {', '.join(row.roles) or 'none'}")
        if text:
            self.stdout.write(f"Key, shown this once: {text}")
