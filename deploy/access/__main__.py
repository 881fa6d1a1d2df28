"""`python -m deploy.access`: write the rights of Redis's users down, for each Redis whose users differ."""

from deploy.access.acl import RULES
from deploy.access.users import VERSIONS, template

if __name__ == "__main__":
    RULES.mkdir(exist_ok=True)
    for version in VERSIONS:
        (RULES / f"{version}.acl").write_text(template(version))
