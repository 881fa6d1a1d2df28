variable "name" {
  description = "What everything is called, or begins with."
  type        = string
  default     = "campus"
}

variable "region" {
  description = "Where all of it is; zones and the registry's address follow from it."
  type        = string
  default     = "eu-de"
}

variable "zones" {
  description = "Zones of the region that have workers: one, or three for a cluster that outlives a zone (docs/deploy-ibm-cloud.md)."
  type        = list(string)
  default     = ["eu-de-1"]

  validation {
    condition     = length(var.zones) > 0 && length(var.zones) == length(distinct(var.zones))
    error_message = "At least one zone, and each of them once."
  }
}

variable "kube_version" {
  description = "Version of Kubernetes, 1.32 or later; null for the default of IBM Cloud."
  type        = string
  default     = null
}

variable "worker_flavor" {
  description = "Flavour of the workers: processors and gigabytes of memory."
  type        = string
  default     = "bx2.4x16"
}

variable "workers_per_zone" {
  description = "Workers in each zone."
  type        = number
  default     = 2
}

variable "redis_version" {
  description = "Version of Databases for Redis, 7.0 or later, which KEDA needs."
  type        = string
  default     = "7.2"
}

variable "redis_memory_mb" {
  description = "Memory of each of the two members of Redis, in megabytes; RAW_MAX_LENGTH of the overlay must fit into it."
  type        = number
  default     = 4096
}

variable "redis_disk_mb" {
  description = "Disk of each of the two members of Redis, in megabytes."
  type        = number
  default     = 8192
}

variable "cloudant_plan" {
  description = "Plan of Cloudant: standard, or lite, which is free and writes ten documents a second."
  type        = string
  default     = "standard"
}

variable "backup_bucket" {
  description = "Name of the bucket that backups go to; unique among all buckets of IBM Cloud, so there is no default."
  type        = string
}

variable "registry_namespace" {
  description = "Namespace of the images in the container registry; unique in its region."
  type        = string
  default     = "campus-occupancy"
}

variable "secrets_manager_id" {
  description = "GUID of an instance of Secrets Manager, for the component external-secrets; empty where secrets are files (docs/deploy-ibm-cloud.md)."
  type        = string
  default     = ""
}
