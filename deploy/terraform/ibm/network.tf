# A network, and in each zone a subnet with a gateway: workers fetch images, certificates and the like by it.
resource "ibm_resource_group" "campus" {
  name = var.name
}

resource "ibm_is_vpc" "campus" {
  name           = var.name
  resource_group = ibm_resource_group.campus.id
}

resource "ibm_is_public_gateway" "zone" {
  for_each = toset(var.zones)

  name           = "${var.name}-${each.key}"
  vpc            = ibm_is_vpc.campus.id
  zone           = each.key
  resource_group = ibm_resource_group.campus.id
}

resource "ibm_is_subnet" "zone" {
  for_each = toset(var.zones)

  name                     = "${var.name}-${each.key}"
  vpc                      = ibm_is_vpc.campus.id
  zone                     = each.key
  total_ipv4_address_count = 256
  public_gateway           = ibm_is_public_gateway.zone[each.key].id
  resource_group           = ibm_resource_group.campus.id
}
