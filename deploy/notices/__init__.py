"""The licences of what the images hold that is not ours: `python -m deploy.notices` writes THIRD-PARTY-NOTICES.md."""
