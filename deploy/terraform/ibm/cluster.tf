# The cluster, with workers in each zone, and where its images are.
resource "ibm_container_vpc_cluster" "campus" {
  name              = var.name
  vpc_id            = ibm_is_vpc.campus.id
  kube_version      = var.kube_version
  flavor            = var.worker_flavor
  worker_count      = var.workers_per_zone
  resource_group_id = ibm_resource_group.campus.id
  wait_till         = "IngressReady"

  # Else workers reach nothing that is not IBM's, and InfluxDB's image has to be in the registry below.
  disable_outbound_traffic_protection = true

  dynamic "zones" {
    for_each = ibm_is_subnet.zone

    content {
      name      = zones.key
      subnet_id = zones.value.id
    }
  }
}

resource "ibm_cr_namespace" "images" {
  name              = var.registry_namespace
  resource_group_id = ibm_resource_group.campus.id
}
