import os

SECRET_KEY = "for development only"
INSTALLED_APPS = ["shop", "stock"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
# Host, port and user are those of libpq: PGHOST, PGPORT, PGUSER.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PGDATABASE"],
        "USER": os.environ["PGUSER"],
    }
}
