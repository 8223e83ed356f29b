"""Services: systems that take payments."""

import django.db.models.functions.datetime
from django.db import migrations, models



class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_one_form_of_an_email'),
    ]

    operations = [
        migrations.CreateModel(
            name='Service',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100, unique=True)),
                ('is_active', models.BooleanField(default=True, help_text='Turn off to refuse all requests of this service.')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
            ],
            options={
                'ordering': ('name',),
            },
        ),
    ]
