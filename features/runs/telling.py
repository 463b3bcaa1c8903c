"""What webhooks are told of runs: that each has ended, by the statement that ends it. Previews are nobody's runs,
and of a batch one event tells when all of it has ended (batch_ends.py).
"""

from tenants.webhooks import outbox

TOLD = outbox(
    "run",
    event="('run.' || run.state)",
    data="""jsonb_build_object('run', run.id, 'state', run.state,
        'feature', (SELECT f.key FROM features_feature f WHERE f.id = run.feature_id))""",
    where="run.preview IS NULL AND run.batch IS NULL",
)
