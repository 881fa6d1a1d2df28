output "cluster" {
  description = "For `ibmcloud ks cluster config --cluster`."
  value       = ibm_container_vpc_cluster.campus.id
}

output "ingress_hostname" {
  description = "Where the name of the API points to, by a CNAME."
  value       = ibm_container_vpc_cluster.campus.ingress_hostname
}

output "image_namespace" {
  description = "What stands between the registry's host and the name of an image."
  value       = ibm_cr_namespace.images.name
}

output "cloudant_url" {
  description = "CLOUDANT_URL of the overlay; no secret, but it comes with one: `terraform output -raw cloudant_url`."
  value       = "https://${local.cloudant.host}"
  sensitive   = true
}

output "backup_url" {
  description = "BACKUP_URL of the component backup."
  value       = "s3://${ibm_cos_bucket.backups.bucket_name}/${var.name}"
}

output "s3_endpoint" {
  description = "S3_ENDPOINT of the component backup: the one that is reached from inside of IBM Cloud."
  value       = "https://s3.direct.${var.region}.cloud-object-storage.appdomain.cloud"
}

output "secrets" {
  description = "Files for deploy/k8s/credentials/ibm-cloud, by name: `terraform output -json secrets`."
  value       = local.secrets
  sensitive   = true
}
