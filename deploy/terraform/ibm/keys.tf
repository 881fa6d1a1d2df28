# What opens the stores. The state of Terraform has all of it in plain text: README says where to keep that.
resource "ibm_resource_key" "redis" {
  name                 = "${var.name}-redis"
  role                 = "Administrator"
  resource_instance_id = ibm_database.redis.id
  parameters           = { "service-endpoints" = "private" }
}

resource "ibm_resource_key" "cloudant" {
  name                 = "${var.name}-cloudant"
  role                 = "Manager"
  resource_instance_id = ibm_cloudant.documents.id
}

# Writer: it reads, writes and deletes objects, and changes no bucket. HMAC: keys as those of S3.
resource "ibm_resource_key" "backups" {
  name                 = "${var.name}-backups"
  role                 = "Writer"
  resource_instance_id = ibm_resource_instance.storage.id
  parameters           = { "HMAC" = true }
}

locals {
  redis    = jsondecode(ibm_resource_key.redis.credentials_json).connection.rediss
  cloudant = jsondecode(ibm_resource_key.cloudant.credentials_json)
  backups  = jsondecode(ibm_resource_key.backups.credentials_json).cos_hmac_keys

  # Whether the address has parameters already.
  redis_joint = strcontains(local.redis.composed[0], "?") ? "&" : "?"

  # Called as the files of deploy/k8s/credentials/ibm-cloud are. DEVICE_KEY, BACKUP_KEY and what else people make is not
  # here: it is put into Secrets Manager by hand, so that no state has it.
  secrets = {
    "REDIS_URL"            = "${local.redis.composed[0]}${local.redis_joint}ssl_ca_certs=/etc/redis-ca/ca.pem"
    "redis-address"        = "${local.redis.hosts[0].hostname}:${local.redis.hosts[0].port}"
    "redis-username"       = local.redis.authentication.username
    "redis-password"       = local.redis.authentication.password
    "redis-tls"            = "enable"
    "redis-ca.pem"         = base64decode(local.redis.certificate.certificate_base64)
    "CLOUDANT_APIKEY"      = local.cloudant.apikey
    "S3_ACCESS_KEY_ID"     = local.backups.access_key_id
    "S3_SECRET_ACCESS_KEY" = local.backups.secret_access_key
  }
}
