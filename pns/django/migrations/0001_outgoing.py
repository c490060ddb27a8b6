"""The table `pns_outgoing`."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

from pns.django.tables import DROP, INDEX, statement


def make(apps: Any, schema_editor: Any) -> None:
    for each in (statement(schema_editor.connection.vendor), INDEX):
        # Without parameters, a percent sign stands for itself.
        schema_editor.execute(each, None)


def remove(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute(DROP, None)


class Migration(migrations.Migration):  # type: ignore[misc]
    """Made by statements: Django's models know no key of two columns before 5.2."""

    initial = True
    operations = (
        migrations.RunPython(make, remove, atomic=False),
        migrations.CreateModel(
            "Inbox",
            fields=[("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False))],
            options={
                "verbose_name": "inbox",
                "verbose_name_plural": "inboxes",
                "managed": False,
                "default_permissions": (),
                "permissions": (("operate", "Can use the operator's page of PNS"),),
            },
        ),
    )
