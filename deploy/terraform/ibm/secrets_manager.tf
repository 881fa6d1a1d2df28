# Only where there is an instance of Secrets Manager: what keys.tf makes, for the component external-secrets to fetch.
resource "ibm_sm_secret_group" "campus" {
  count = var.secrets_manager_id == "" ? 0 : 1

  instance_id = var.secrets_manager_id
  region      = var.region
  name        = var.name
  description = "What the campus needs to open its stores."
}

# The names are given once more, for Terraform makes no resource's address of what may be a secret.
locals {
  secret_names = [
    "REDIS_URL", "redis-address", "redis-username", "redis-password", "redis-tls", "redis-ca.pem",
    "CLOUDANT_APIKEY", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY",
  ]
}

resource "ibm_sm_arbitrary_secret" "campus" {
  for_each = toset(var.secrets_manager_id == "" ? [] : local.secret_names)

  instance_id     = var.secrets_manager_id
  region          = var.region
  name            = each.key
  payload         = local.secrets[each.key]
  secret_group_id = ibm_sm_secret_group.campus[0].secret_group_id
}
