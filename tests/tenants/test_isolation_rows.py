"""One tenant's rows never show in another's transaction, and a query that forgot its tenant is an error."""

import threading
from uuid import uuid4

import pytest
from django.db import DatabaseError, ProgrammingError, connection, connections, transaction

from tenants.actor import Actor
from tenants.errors import NotFound
from tenants.isolation import CrossedTenants, alone, operator_tx, tenant_row, tenant_tx, user_tx
from tenants.models import ApiKey, Member, Subject, Tenant, User
from tests.cast import Cast


def test_a_query_outside_a_tenants_transaction_raises(cast: Cast) -> None:
    for ask in (Member.objects.count, lambda: Member.objects.update(role="owner"), ApiKey.objects.all().delete):
        with pytest.raises(DatabaseError, match="no tenant is set"):
            ask()


def test_acme_sees_its_own_people_and_nobody_elses(cast: Cast) -> None:
    with tenant_tx(cast.ada.tenant_id):
        assert Member.objects.count() == 4
        assert not Member.objects.filter(tenant_id=cast.gus.tenant_id).exists()
        assert list(Tenant.objects.values_list("slug", flat=True)) == ["acme"]


def test_acme_cannot_write_a_row_for_globex(cast: Cast) -> None:
    with pytest.raises(ProgrammingError, match="row-level security"), tenant_tx(cast.ada.tenant_id):
        Subject.objects.create(tenant_id=cast.gus.tenant_id, kind="external", key="planted")


def test_acme_cannot_point_at_a_row_of_globex(cast: Cast) -> None:
    with tenant_tx(cast.gus.tenant_id):
        theirs = Member.objects.get(role="member").id
    with pytest.raises(DatabaseError, match="of_tenant"), tenant_tx(cast.ada.tenant_id):
        ApiKey.objects.create(tenant_id=cast.ada.tenant_id, kind="member", name="x", secret_hash=b"", member_id=theirs)


def test_the_same_tenant_joins_and_another_is_refused(cast: Cast) -> None:
    with tenant_tx(cast.ada.tenant_id):
        with tenant_tx(cast.ada.tenant_id):
            assert Member.objects.count() == 4
        with pytest.raises(CrossedTenants), tenant_tx(cast.gus.tenant_id):
            pass


def test_nothing_of_the_tenant_is_left_after_its_transaction(cast: Cast) -> None:
    with pytest.raises(ValueError), tenant_tx(cast.ada.tenant_id):  # noqa: PT011
        raise ValueError
    with pytest.raises(DatabaseError, match="no tenant is set"):
        Member.objects.count()
    with tenant_tx(cast.gus.tenant_id):
        assert Member.objects.count() == 2


def test_two_tenants_in_turn_on_one_connection_never_cross(cast: Cast) -> None:
    pid = connection.connection.info.backend_pid
    for turn in range(200):
        actor, count = (cast.ada, 4) if turn % 2 else (cast.gus, 2)
        try:
            with tenant_tx(actor.tenant_id):
                assert Member.objects.count() == count
                if turn % 5 == 0:
                    raise KeyError
        except KeyError:
            pass
    assert connection.connection.info.backend_pid == pid


EVERYBODY = alone("SELECT count(*), count(*) FILTER (WHERE tenant_id <> %(tenant)s) FROM tenants_member")
PLANNERS = ["", "nestloop", "hashjoin", "mergejoin", "material", "indexscan", "seqscan", "bitmapscan"]


@pytest.mark.parametrize("without", PLANNERS)
def test_a_statement_that_sets_its_tenant_sees_that_tenants_rows_however_it_is_planned(
    without: str, cast: Cast
) -> None:
    with connection.cursor() as cursor:
        if without:
            cursor.execute(f"SET enable_{without} = off")
        cursor.execute("SET plan_cache_mode = force_generic_plan")
    try:
        for _ in range(3):
            assert tenant_row(cast.ada.tenant_id, EVERYBODY, {}) == (4, 0)
            assert tenant_row(cast.gus.tenant_id, EVERYBODY, {}) == (2, 0)
            with pytest.raises(DatabaseError, match="no tenant is set"):
                Member.objects.count()  # nothing of it is left
    finally:
        connection.close()


def test_a_statement_by_itself_joins_its_own_tenants_transaction_and_no_others(cast: Cast) -> None:
    with tenant_tx(cast.ada.tenant_id):
        Subject.objects.create(tenant_id=cast.ada.tenant_id, kind="external", key="unseen")
        mine = alone("SELECT count(*) FROM tenants_subject WHERE key = 'unseen'")
        assert tenant_row(cast.ada.tenant_id, mine, {}) == (1,)
        with pytest.raises(CrossedTenants):
            tenant_row(cast.gus.tenant_id, mine, {})
    assert tenant_row(cast.gus.tenant_id, mine, {}) == (0,)


def test_threads_do_not_share_a_tenant(cast: Cast) -> None:
    seen: list[int] = []

    def elsewhere() -> None:
        with tenant_tx(cast.gus.tenant_id):
            seen.append(Member.objects.count())
        connections.close_all()

    with tenant_tx(cast.ada.tenant_id):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert Member.objects.count() == 4
    assert seen == [2]


def test_a_login_sees_its_own_memberships_in_all_tenants_and_nothing_more(cast: Cast) -> None:
    user = User.objects.get(email="alice@acme.example")
    with user_tx(user.id):
        assert [member.user_id for member in Member.objects.all()] == [user.id]
        assert [tenant.slug for tenant in Tenant.objects.all()] == ["acme"]
        assert Subject.objects.count() == 0


def test_a_rolled_back_savepoint_keeps_the_tenant(cast: Cast) -> None:
    with tenant_tx(cast.ada.tenant_id):
        with pytest.raises(KeyError), transaction.atomic():
            raise KeyError
        assert Member.objects.count() == 4


def test_an_actor_cannot_do_anything_to_another_tenants_row(cast: Cast) -> None:
    with tenant_tx(cast.gus.tenant_id):
        theirs = Member.objects.get(role="member")
    with pytest.raises(NotFound), cast.ada.doing("member.manage", theirs):
        pass


def test_the_operator_reads_across_tenants_but_not_what_people_wrote(cast: Cast) -> None:
    from features.models import Override

    with operator_tx():
        assert Member.objects.using("operator").count() == 6
    with pytest.raises(ProgrammingError, match="permission denied"), operator_tx():
        list(Override.objects.using("operator").all())


def test_a_rehearsal_leaves_nothing_behind(cast: Cast) -> None:
    actor: Actor = cast.ada
    with actor.doing("member.manage", actor.in_tenant(), dry_run=True):
        Subject.objects.create(id=uuid4(), tenant_id=actor.tenant_id, kind="external", key="rehearsed")
    with actor.present():
        assert not Subject.objects.filter(key="rehearsed").exists()
