# Where everything is kept. A plan that would replace or remove one of these three fails: what is in them is gone with it.
resource "ibm_database" "redis" {
  name              = "${var.name}-redis"
  service           = "databases-for-redis"
  plan              = "standard"
  version           = var.redis_version
  location          = var.region
  service_endpoints = "private"
  resource_group_id = ibm_resource_group.campus.id

  # Both members alike: what is given here is for each of them.
  group {
    group_id = "member"

    host_flavor {
      id = "multitenant"
    }

    memory {
      allocation_mb = var.redis_memory_mb
    }

    disk {
      allocation_mb = var.redis_disk_mb
    }
  }

  # Nothing may be evicted: what is in Redis has been acknowledged.
  configuration = jsonencode({ "maxmemory-policy" = "noeviction", "appendonly" = "yes" })

  timeouts {
    create = "120m"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "ibm_cloudant" "documents" {
  name              = "${var.name}-cloudant"
  plan              = var.cloudant_plan
  location          = var.region
  resource_group_id = ibm_resource_group.campus.id

  # IAM alone, as CLOUDANT_AUTH_TYPE of the overlay says.
  legacy_credentials = false

  # No browser asks it.
  enable_cors = false

  lifecycle {
    prevent_destroy = true
  }
}

resource "ibm_resource_instance" "storage" {
  name              = "${var.name}-storage"
  service           = "cloud-object-storage"
  plan              = "standard"
  location          = "global"
  resource_group_id = ibm_resource_group.campus.id
}

# No rule that lets objects expire: months that are over are saved once, and BACKUP_KEEP_DAYS knows which backups need them.
resource "ibm_cos_bucket" "backups" {
  bucket_name          = var.backup_bucket
  resource_instance_id = ibm_resource_instance.storage.id
  region_location      = var.region
  storage_class        = "smart"
  force_delete         = false

  lifecycle {
    prevent_destroy = true
  }
}
