"""Settings of graphite-web in the image beside this file: what it shows is in GRAPHITE_FOLDER, and it keeps nothing."""

import os
import secrets

FOLDER = os.environ.get("GRAPHITE_FOLDER", "/var/lib/graphite")
# Nobody logs in, so nothing that it signs has to outlive a start.
SECRET_KEY = secrets.token_hex(32)
# It is reached inside its network, and on a port of this machine alone.
ALLOWED_HOSTS = ["*"]
TIME_ZONE = "UTC"
LOG_DIR = os.environ.get("GRAPHITE_LOGS", "/tmp")  # noqa: S108 - of its container alone
STORAGE_DIR = FOLDER
WHISPER_DIR = f"{FOLDER}/whisper"
INDEX_FILE = f"{LOG_DIR}/index"
CONF_DIR = "/etc/campus"
# Points that carbon has and the disk has not yet.
CARBONLINK_HOSTS = [host for host in os.environ.get("CARBONLINK", "").split(",") if host]
FUNCTION_PLUGINS: list[str] = []
DATABASES = {"default": {"NAME": f"{LOG_DIR}/web.db", "ENGINE": "django.db.backends.sqlite3"}}
